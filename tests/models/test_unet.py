"""The U-Net against the same layers one by one, its size, and its loss by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.models import unet
from mole_jax.training.segmentation import mask_loss


def test_it_has_under_a_million_parameters():
    shapes = jax.eval_shape(lambda: unet.model().init(jax.random.key(0), input_shape=(1, 32, 32, 3)))
    down = [(3, 16), (16, 32), (32, 64), (64, 96), (96, 128)]
    up = [(128 + 96, 96), (96 + 64, 64), (64 + 32, 32), (32 + 16, 16)]
    # Two 3x3 kernels a block, without biases; a scale and a bias of each of its two batch norms; the last 1x1 kernel.
    blocks = sum(9 * c_in * c_out + 9 * c_out * c_out + 4 * c_out for c_in, c_out in down + up)
    assert sum(leaf.size for leaf in jax.tree.leaves(shapes["params"])) == blocks + 16 + 1 == 921_921


def test_it_is_these_layers():
    network = unet.model((4, 8))
    variables = network.init(jax.random.key(0), input_shape=(1, 8, 8, 3))
    random = np.random.default_rng(0)
    variables = jax.tree.map(lambda leaf: jnp.asarray(random.uniform(0.1, 1, leaf.shape), jnp.float32), variables)
    params, stats = variables["params"], variables["batch_stats"]
    image = random.uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)

    def conv(x, kernel):
        padded = np.pad(x, [(0, 0), (1, 1), (1, 1), (0, 0)])
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(1, 2))
        return np.einsum("bhwcij,ijco->bhwo", windows, kernel)

    def twice(x, name):
        for i in (1, 2):
            x = conv(x, np.asarray(params[name][f"conv{i}"]["kernel"]))
            norm, moving = params[name][f"bn{i}"], stats[name][f"bn{i}"]
            x = (x - np.asarray(moving["mean"])) / np.sqrt(np.asarray(moving["var"]) + 1e-5)
            x = np.maximum(x * np.asarray(norm["scale"]) + np.asarray(norm["bias"]), 0)
        return x

    first = twice(image, "down0")
    second = twice(first.reshape(1, 4, 2, 4, 2, 4).max(axis=(2, 4)), "down1")
    up = twice(np.concatenate([first, second.repeat(2, axis=1).repeat(2, axis=2)], axis=-1), "up0")
    expected = (up @ np.asarray(params["out"]["kernel"])[0, 0] + np.asarray(params["out"]["bias"]))[..., 0]
    logits, same = network.apply(variables, jnp.asarray(image), train=False)
    np.testing.assert_allclose(logits, expected, rtol=1e-4)
    assert same is stats


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_the_loss_is_cross_entropy_and_dice(share):
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (2, 5, 5)).astype(np.float32)
    masks = (random.random((2, 5, 5)) < share).astype(np.float32)
    p = 1 / (1 + np.exp(-logits.astype(np.float64)))
    entropy = -(masks * np.log(p) + (1 - masks) * np.log(1 - p)).mean(axis=(1, 2))
    dice = (2 * (p * masks).sum(axis=(1, 2)) + 1) / ((p + masks).sum(axis=(1, 2)) + 1)
    np.testing.assert_allclose(mask_loss(jnp.asarray(logits), jnp.asarray(masks)), entropy + 1 - dice, rtol=1e-5)
