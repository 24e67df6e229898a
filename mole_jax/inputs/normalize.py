"""From uint8 pixels to what a model sees, inside the jitted step: so only a quarter of the bytes goes to the device."""

from collections.abc import Callable, Sequence
from typing import Literal

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, UInt8

# Of ImageNet's training images, RGB, pixels in 0..1; the constants that torchvision's weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

Normalize = Callable[
    [UInt8[Array, "batch height width 3"], Bool[Array, " batch"]], Float[Array, "batch height width 3"]
]


def normalizer(how: Literal["image", "dataset", "batch", "imagenet"], *, channel_mean: Sequence[float]) -> Normalize:
    """Gives the function (images, mask) -> float32 images.

    Args:
        how: "image" subtracts each image's own mean a channel and divides by 255 (the paper's text). "dataset"
            subtracts the training set's channel means. "batch" subtracts, at each pixel position, the mean over the
            batch, as the paper's released code did: a prediction then depends on the other images of its batch.
            "imagenet" also divides by ImageNet's channel deviations. All but the last give values in (-1, 1).
        channel_mean: the training set's, of pixels in 0..1; used by "dataset" only.
    """

    def normalize(
        images: UInt8[Array, "batch height width 3"], mask: Bool[Array, " batch"]
    ) -> Float[Array, "batch height width 3"]:
        pixels = images.astype(jnp.float32) / 255
        if how == "image":
            return pixels - pixels.mean(axis=(1, 2), keepdims=True)
        if how == "dataset":
            return pixels - jnp.asarray(channel_mean, jnp.float32).reshape(1, 1, 1, 3)
        if how == "imagenet":
            mean, std = (jnp.asarray(c, jnp.float32).reshape(1, 1, 1, 3) for c in (IMAGENET_MEAN, IMAGENET_STD))
            return (pixels - mean) / std
        # Padding must not count, or the last batch of an evaluation would be judged against black images.
        weight = mask.astype(jnp.float32).reshape(-1, 1, 1, 1)
        return pixels - (pixels * weight).sum(axis=0, keepdims=True) / weight.sum()

    return normalize
