"""Normalisation and augmentation against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.augmentation import Augmentation
from mole_jax.inputs.augment import dihedral
from mole_jax.inputs.normalize import Inputs, normalizer
from mole_jax.inputs.pipeline import training_inputs

IMAGES = np.random.default_rng(0).integers(0, 256, (4, 5, 5, 3)).astype(np.uint8)
MASK = np.array([True, True, True, False])
PIXELS = IMAGES.astype(np.float64) / 255

EXPECTED = {
    "image": PIXELS - PIXELS.mean(axis=(1, 2), keepdims=True),
    "dataset": PIXELS - np.array([0.7, 0.5, 0.4]),
    "batch": PIXELS - PIXELS[:3].mean(axis=0),  # the padded image does not count
    "torchvision": (PIXELS - np.array([0.485, 0.456, 0.406])) / np.array([0.229, 0.224, 0.225]),
}


@pytest.mark.parametrize("how", EXPECTED)
def test_normalisation(how):
    ours = jax.jit(normalizer(Inputs(how, (0.7, 0.5, 0.4) if how == "dataset" else ())))(
        jnp.asarray(IMAGES), jnp.asarray(MASK)
    )
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours[:3], EXPECTED[how][:3], atol=2e-6)
    if how != "torchvision":
        assert np.abs(ours).max() < 1


def test_dihedral_gives_each_of_the_eight_positions_equally_often():
    square = np.arange(9, dtype=np.uint8).reshape(3, 3, 1).repeat(3, axis=2)
    n = 4000
    turned = np.asarray(dihedral(jnp.asarray(np.broadcast_to(square, (n, 3, 3, 3))), jax.random.key(0)))
    positions = [np.rot90(flipped, turns) for flipped in (square, square[:, ::-1]) for turns in range(4)]
    counts = [int((turned == position).all(axis=(1, 2, 3)).sum()) for position in positions]
    assert sum(counts) == n
    assert min(counts) > n / 8 * 0.8


def test_keras_preprocessing_is_what_keras_does(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    from keras.applications.resnet50 import preprocess_input

    expected = preprocess_input(IMAGES.astype(np.float32))
    np.testing.assert_allclose(
        normalizer(Inputs("keras"))(jnp.asarray(IMAGES), jnp.asarray(MASK)), expected, rtol=1e-6, atol=1e-5
    )


def test_torchvision_preprocessing_by_hand():
    image = np.array([255, 0, 51], np.uint8).reshape(1, 1, 1, 3)  # 1, 0 and 0.2
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    result = normalizer(Inputs("torchvision"))(jnp.asarray(image), jnp.ones(1, bool))
    np.testing.assert_allclose(result[0, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize(("how", "mean"), [("dataset", ()), ("image", (0.1, 0.2, 0.3)), ("dataset", (0.1,))])
def test_means_are_there_exactly_where_they_are_used(how, mean):
    with pytest.raises(ValueError, match=rf"normalize='{how}' with {len(mean)} channel means"):
        Inputs(how, mean)


def test_images_are_augmented_before_they_are_normalised():
    """The mean that is subtracted at each position is that of the images that are fed."""
    images, mask, key, targets = jnp.asarray(IMAGES), jnp.ones(4, bool), jax.random.key(3), jnp.zeros(4)
    normalize = normalizer(Inputs("batch"))
    turning = Augmentation(dihedral=True)
    fed, _ = training_inputs(images, targets, mask, normalize=normalize, augment=turning, key=key)
    np.testing.assert_array_equal(fed, normalize(dihedral(images, key), mask))
    assert np.abs(fed - dihedral(normalize(images, mask), key)).max() > 0.1, "the orders differ for this one"
    plain, _ = training_inputs(images, targets, mask, normalize=normalize, augment=Augmentation(), key=key)
    np.testing.assert_array_equal(plain, normalize(images, mask))
