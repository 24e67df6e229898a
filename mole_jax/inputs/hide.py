"""Changes that take detail away: Gaussian blur, and a square that is hidden."""

import math

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


def blurred(image: Float[Array, "h w c"], deviation: Float[Array, ""], *, most: float) -> Float[Array, "h w c"]:
    """The image under a Gaussian, cut off at three times the largest deviation; mirrored at its edges.

    Args:
        image: any values.
        deviation: of the Gaussian, in pixels; 0 leaves the image as it is.
        most: the largest deviation.
    """
    radius = math.ceil(3 * most)
    places = jnp.arange(-radius, radius + 1, dtype=jnp.float32)
    weights = jnp.exp(-0.5 * (places / jnp.maximum(deviation, 1e-3)) ** 2)
    weights = weights / weights.sum()
    for axis in (0, 1):
        size = image.shape[axis]
        padding = [(radius, radius) if i == axis else (0, 0) for i in range(3)]
        padded = jnp.pad(image, padding, mode="reflect")
        shifted = [jax.lax.slice_in_dim(padded, i, i + size, axis=axis) for i in range(2 * radius + 1)]
        image = sum(
            (part * weight for part, weight in zip(shifted[1:], weights[1:], strict=True)), shifted[0] * weights[0]
        )
    return image


def cut_out(image: Float[Array, "h w c"], middle: Int[Array, "2"], *, share: float) -> Float[Array, "h w c"]:
    """The image with a square filled with its mean colour.

    Source: DeVries and Taylor 2017 (arXiv:1708.04552): the square may lie partly outside, its middle may not.

    Args:
        image: any values.
        middle: row and column of the square's middle.
        share: side of the square over the image's.
    """
    half = share * image.shape[0] / 2
    rows, columns = (
        jnp.abs(jnp.arange(n) - m).astype(jnp.float32) < half for n, m in zip(image.shape[:2], middle, strict=True)
    )
    hidden = (rows[:, None] & columns[None])[..., None]
    return jnp.where(hidden, image.mean(axis=(0, 1), keepdims=True), image)
