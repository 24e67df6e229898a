import jax
import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.inputs.imagenet import preprocess


def test_keras_preprocessing_is_what_keras_does():
    from keras.applications.resnet50 import preprocess_input

    images = np.random.default_rng(0).integers(0, 256, (2, 5, 4, 3), dtype=np.uint8)
    expected = preprocess_input(images.astype(np.float32))
    np.testing.assert_allclose(preprocess(jax.numpy.asarray(images), "keras"), expected, rtol=1e-6, atol=1e-5)


def test_torchvision_preprocessing_by_hand():
    image = np.array([255, 0, 51], np.uint8).reshape(1, 1, 1, 3)  # 1, 0 and 0.2
    expected = [(1 - 0.485) / 0.229, -0.456 / 0.224, (0.2 - 0.406) / 0.225]
    result = preprocess(jax.numpy.asarray(image), "torchvision")
    np.testing.assert_allclose(result[0, 0, 0], expected, rtol=1e-6)


@pytest.mark.parametrize("name", [None, "imagenet"])
def test_there_is_no_default(name):
    with pytest.raises(UserError, match=r"preprocessing=.* is not one of keras, torchvision: use the one that came"):
        preprocess(jax.numpy.zeros((1, 2, 2, 3), jax.numpy.uint8), name)
