"""The two ways in which ImageNet networks were fed. The name travels with the weights, so that they stay together."""

from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Float32, UInt8

from mole_jax.errors import UserError

Preprocessing = Literal["keras", "torchvision"]

# ImageNet's channel means in BGR, 0..255, of the Caffe models that Keras ported (keras.applications.imagenet_utils).
KERAS_BGR_MEAN = (103.939, 116.779, 123.68)
# ImageNet's channel means and deviations in RGB, 0..1 (torchvision.models, timm, Hugging Face's microsoft/resnet-50).
TORCHVISION_RGB_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_RGB_STD = (0.229, 0.224, 0.225)


def preprocess(images: UInt8[Array, "b h w 3"], name: str | None) -> Float32[Array, "b h w 3"]:
    """Turns RGB images into what the network was trained on.

    Args:
        images: RGB, 0 to 255.
        name: `keras`: BGR minus the channel means, about -124 to 151; `torchvision`: RGB / 255, minus mean, over
            standard deviation, about -2.1 to 2.6. None (random weights have none) is an error: there is no default.

    Raises:
        UserError: another name, or none.
    """
    values = images.astype(jnp.float32)
    if name == "keras":
        return values[..., ::-1] - _channels(KERAS_BGR_MEAN)
    if name == "torchvision":
        return (values / 255.0 - _channels(TORCHVISION_RGB_MEAN)) / _channels(TORCHVISION_RGB_STD)
    raise UserError(f"preprocessing={name!r} is not one of keras, torchvision: use the one that came with the weights")


def _channels(values: tuple[float, float, float]) -> Float32[Array, "1 1 1 3"]:
    return jnp.asarray(values, jnp.float32).reshape(1, 1, 1, 3)
