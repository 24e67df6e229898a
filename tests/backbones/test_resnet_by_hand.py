"""Basic blocks and bottlenecks written out in NumPy, straight from a state dict under torchvision's names."""

import jax
import numpy as np
import pytest
from numpy.lib.stride_tricks import sliding_window_view

from mole_jax.backbones.match import flat_shapes, match
from mole_jax.backbones.names import from_state_dict
from mole_jax.backbones.resnet import ResNetConfig

SIZES = (2, 1, 2, 1)
CONFIGS = {block: ResNetConfig(block=block, stage_sizes=SIZES, width=4, classes=5) for block in ("basic", "bottleneck")}


def convolved(x, kernel, stride, padding):
    """x: [b, c, h, w]; kernel: [out, c, k, k]; as torch.nn.functional.conv2d."""
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    windows = sliding_window_view(x, kernel.shape[2:], (2, 3))[:, :, ::stride, ::stride]
    return np.einsum("bchwij,ocij->bohw", windows, kernel)


def normalised(x, state, name):
    mean, var, scale, bias = (
        state[f"{name}.{field}"].reshape(1, -1, 1, 1) for field in ("running_mean", "running_var", "weight", "bias")
    )
    return (x - mean) / np.sqrt(var + 1e-5) * scale + bias


def block_of(x, state, name, stride, kind):
    strides = {"basic": ((3, stride), (3, 1)), "bottleneck": ((1, 1), (3, stride), (1, 1))}[kind]
    y = x
    for i, (size, step) in enumerate(strides, start=1):
        y = normalised(convolved(y, state[f"{name}.conv{i}.weight"], step, size // 2), state, f"{name}.bn{i}")
        y = y if i == len(strides) else np.maximum(y, 0)
    if f"{name}.downsample.0.weight" in state:
        x = normalised(convolved(x, state[f"{name}.downsample.0.weight"], stride, 0), state, f"{name}.downsample.1")
    return np.maximum(x + y, 0)


def network(images, state, kind):
    x = np.maximum(normalised(convolved(images, state["conv1.weight"], 2, 3), state, "bn1"), 0)
    x = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
    x = sliding_window_view(x, (3, 3), (2, 3))[:, :, ::2, ::2].max(axis=(4, 5))
    named = {"stem": x}
    for stage, size in enumerate(SIZES, start=1):
        for index in range(size):
            x = block_of(x, state, f"layer{stage}.{index}", 2 if stage > 1 and index == 0 else 1, kind)
        named[f"layer{stage}"] = x
    return x.mean(axis=(2, 3)) @ state["fc.weight"].T + state["fc.bias"], named


def drawn(config):
    """Random numbers under torchvision's names and in its layout."""
    rng, state = np.random.default_rng(0), {}
    fields = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}
    for name, leaf in flat_shapes(config).items():
        *block, module, field = name.split("/")[1:]
        module = module.replace("downsample_conv", "downsample.0").replace("downsample_bn", "downsample.1")
        shape = [leaf.shape[i] for i in (3, 2, 0, 1)] if len(leaf.shape) == 4 else leaf.shape[::-1]
        values = rng.uniform(0.5, 1.5, shape) if field in ("scale", "var") else rng.normal(0, 0.3, shape)
        state[".".join([*(part.replace("_", ".") for part in block), module, fields[field]])] = values.astype(
            np.float32
        )
    return state


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_stage_agrees(kind):
    config, images = CONFIGS[kind], np.random.default_rng(1).normal(size=(2, 3, 64, 64)).astype(np.float32)
    state = drawn(config)
    expected, stages = network(images.astype(np.float64), state, kind)
    variables, matched, _ = match(lambda table: from_state_dict(state, table), config, "drawn")
    assert matched == config
    forward = jax.jit(lambda v, x: config.network().apply(v, x, train=False))
    logits, named = forward(variables, images.transpose(0, 2, 3, 1))
    np.testing.assert_allclose(logits, expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    for name, stage in stages.items():
        np.testing.assert_allclose(
            named[name], stage.transpose(0, 2, 3, 1), rtol=1e-4, atol=1e-5 * np.abs(stage).max(), err_msg=name
        )
