"""A convolution seen as shifted images: which pixels each of a kernel's numbers is multiplied with.

Padding is "SAME": TensorFlow's way, one more at the far side.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

Images = Float[Array, "batch _ _ channels"]  # height and width: of different sizes before and after


class Side(NamedTuple):
    """One axis of the image: pixels after the convolution, and zeros before and after it."""

    out: int
    low: int
    high: int


def side_of(length: int, size: int, stride: int) -> Side:
    """What becomes of an axis of that many pixels, under a kernel of that size."""
    out = -(-length // stride)
    padding = max((out - 1) * stride + size - length, 0)
    return Side(out, padding // 2, padding - padding // 2)


def padded_same(x: Images, size: int, stride: int) -> Images:
    """The images with the zeros around them that a kernel of that size meets."""
    rows, columns = (side_of(length, size, stride) for length in x.shape[1:3])
    return jnp.pad(x, ((0, 0), (rows.low, rows.high), (columns.low, columns.high), (0, 0)))


def taps(x: Images, size: int, stride: int) -> list[Images]:
    """For each of the kernel's numbers, row by row, the pixels that it is multiplied with, as float32."""
    rows, columns = (side_of(length, size, stride) for length in x.shape[1:3])
    padded = padded_same(x, size, stride).astype(jnp.float32)
    return [
        padded[:, i : i + (rows.out - 1) * stride + 1 : stride, j : j + (columns.out - 1) * stride + 1 : stride]
        for i in range(size)
        for j in range(size)
    ]
