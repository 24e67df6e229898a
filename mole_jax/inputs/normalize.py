"""From uint8 pixels to what a model sees, inside the jitted step: so only a quarter of the bytes goes to the device."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

# What ImageNet networks were fed; the name travels with their weights, so that the two stay together.
Preprocessing = Literal["keras", "torchvision", "efficientnet_lite"]
Normalization = Literal["image", "dataset", "batch", "keras", "torchvision", "efficientnet_lite"]

# ImageNet's channel means in BGR, 0..255, of the Caffe models that Keras ported (keras.applications.imagenet_utils).
KERAS_BGR_MEAN = (103.939, 116.779, 123.68)
# ImageNet's channel means and deviations in RGB, 0..1 (torchvision.models, timm, Hugging Face's microsoft/resnet-50).
TORCHVISION_RGB_MEAN = (0.485, 0.456, 0.406)
TORCHVISION_RGB_STD = (0.229, 0.224, 0.225)

Normalize = Callable[
    [UInt8[Array, "batch height width 3"], Bool[Array, " batch"]], Float[Array, "batch height width 3"]
]


@dataclass(frozen=True)
class Inputs:
    """How images are fed to one network, with every number that it takes.

    Attributes:
        normalize: "image" subtracts each image's own mean a channel and divides by 255 (the paper's text). "dataset"
            subtracts the training set's channel means. "batch" subtracts, at each pixel position, the mean over the
            batch, as the paper's released code did: a prediction then depends on the other images of its batch. These
            three give values in (-1, 1). "keras": BGR minus ImageNet's channel means, about -124 to 151;
            "torchvision": RGB / 255, minus mean, over standard deviation, about -2.1 to 2.6. "efficientnet_lite":
            (RGB - 127) / 128, about -1 to 1.
        channel_mean: of the training split, red, green and blue, of pixels in 0..1; empty unless "dataset".
    """

    normalize: Normalization
    channel_mean: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        """Refuses "dataset" without its means: subtracting nothing would go unnoticed."""
        if (self.normalize == "dataset") != (len(self.channel_mean) == 3):
            raise ValueError(f"normalize={self.normalize!r} with {len(self.channel_mean)} channel means")


def normalizer(inputs: Inputs) -> Normalize:
    """Gives the function (images, mask) -> float32 images; the mask is False where a batch is padded."""

    def normalize(
        images: UInt8[Array, "batch height width 3"], mask: Bool[Array, " batch"]
    ) -> Float[Array, "batch height width 3"]:
        values = images.astype(jnp.float32)
        if inputs.normalize == "keras":
            return values[..., ::-1] - _channels(KERAS_BGR_MEAN)
        if inputs.normalize == "efficientnet_lite":  # MEAN_RGB and STDDEV_RGB of their authors' preprocessing
            return (values - 127) / 128
        pixels = values / 255
        if inputs.normalize == "torchvision":
            return (pixels - _channels(TORCHVISION_RGB_MEAN)) / _channels(TORCHVISION_RGB_STD)
        if inputs.normalize == "image":
            return pixels - pixels.mean(axis=(1, 2), keepdims=True)
        if inputs.normalize == "dataset":
            return pixels - _channels(inputs.channel_mean)
        # Padding must not count, or the last batch of an evaluation would be judged against black images.
        weight = mask.astype(jnp.float32).reshape(-1, 1, 1, 1)
        return pixels - (pixels * weight).sum(axis=0, keepdims=True) / weight.sum()

    return normalize


def _channels(values: tuple[float, ...]) -> Float[Array, "1 1 1 3"]:
    return jnp.asarray(values, jnp.float32).reshape(1, 1, 1, 3)
