"""Brightness, contrast, saturation and hue: one matrix for all of an image's pixels."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mole_jax.augmentation import Augmentation

# Luma of ITU-R BT.601, which Pillow uses too, and the two differences of colour of NTSC's YIQ (FCC 1953), which span
# the plane in which a hue is an angle.
YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]], np.float32)
RGB = np.linalg.inv(YIQ)


class Color(NamedTuple):
    """Factors of brightness, contrast and saturation, 1 for none; and an angle of hue in turns, 0 for none."""

    brightness: Float[Array, ""]
    contrast: Float[Array, ""]
    saturation: Float[Array, ""]
    hue: Float[Array, ""]


def draw_color(how: Augmentation, key: jax.Array) -> Color:
    """Draws one image's change of colour."""
    most = (how.brightness, how.contrast, how.saturation, how.hue)
    drawn = jax.random.uniform(key, (4,), minval=-1.0, maxval=1.0) * jnp.asarray(most, jnp.float32)
    return Color(1 + drawn[0], 1 + drawn[1], 1 + drawn[2], drawn[3])


def recolored(image: Float[Array, "h w 3"], color: Color) -> Float[Array, "h w 3"]:
    """The image, 0..255, in other colours; clipped to 0..255 at the end.

    Brightness, contrast and saturation are Pillow's ImageEnhance: blends with black, with the image's mean grey and
    with each pixel's grey. Hue turns each pixel's colour about the grey axis and leaves its grey as it is. (In HSV,
    torchvision's way, the greys move too, and the change is not linear.)
    """
    angle = 2 * jnp.pi * color.hue
    cos, sin, none, one = jnp.cos(angle), jnp.sin(angle), jnp.float32(0), jnp.float32(1)
    turn = jnp.stack([jnp.stack([one, none, none]), jnp.stack([none, cos, -sin]), jnp.stack([none, sin, cos])])
    grey = jnp.broadcast_to(YIQ[0], (3, 3))
    saturate = color.saturation * jnp.eye(3) + (1 - color.saturation) * grey
    # Greys stay what they are in the two products, so that what contrast adds can be added last.
    matrix = color.brightness * color.contrast * (RGB @ turn @ YIQ @ saturate)
    mean_grey = image.mean(axis=(0, 1)) @ YIQ[0]
    added = (1 - color.contrast) * color.brightness * mean_grey
    # Column by column: a product of so thin a matrix is slow.
    channels = [image[..., i, None] * matrix[None, None, :, i] for i in range(3)]
    return jnp.clip(channels[0] + channels[1] + channels[2] + added, 0, 255)
