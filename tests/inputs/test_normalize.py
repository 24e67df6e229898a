"""Normalisation and augmentation against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.inputs.augment import dihedral
from mole_jax.inputs.normalize import normalizer

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3)).astype(np.uint8)
MASK = np.array([True, True, True, False])
PIXELS = IMAGES.astype(np.float64) / 255

EXPECTED = {
    "image": PIXELS - PIXELS.mean(axis=(1, 2), keepdims=True),
    "dataset": PIXELS - np.array([0.7, 0.5, 0.4]),
    "batch": PIXELS - PIXELS[:3].mean(axis=0),  # the padded image does not count
    "imagenet": (PIXELS - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]),
}


@pytest.mark.parametrize("how", EXPECTED)
def test_normalisation(how):
    ours = jax.jit(normalizer(how, channel_mean=(0.7, 0.5, 0.4)))(jnp.asarray(IMAGES), jnp.asarray(MASK))
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours[:3], EXPECTED[how][:3], atol=2e-6)
    if how != "imagenet":
        assert np.abs(ours).max() < 1


def test_dihedral_gives_each_of_the_eight_positions_equally_often():
    square = np.arange(9, dtype=np.uint8).reshape(3, 3, 1).repeat(3, axis=2)
    n = 4000
    turned = np.asarray(dihedral(jnp.asarray(np.broadcast_to(square, (n, 3, 3, 3))), jax.random.key(0)))
    positions = [np.rot90(flipped, turns) for flipped in (square, square[:, ::-1]) for turns in range(4)]
    counts = [int((turned == position).all(axis=(1, 2, 3)).sum()) for position in positions]
    assert sum(counts) == n
    assert min(counts) > n / 8 * 0.8
