"""Depthwise convolution, each channel with a kernel of its own, with a gradient that a CPU computes fast too.

XLA's CPU compiler goes through a grouped convolution number by number. A sum of shifted images, one for each of the
kernel's numbers, is 14 to 37 times as fast forwards; but autodiff of that is slow again, so the gradients are written
out: for the image, sums of shifted images as well; for the kernel, all its numbers in one pass over both images.
Accelerators and meshes have the grouped convolution and its own gradient.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.backbones.norm import with_factor
from mole_jax.backbones.shifts import Images, padded_same, side_of, taps
from mole_jax.chunks import by_chunk, on_cpu

Kernel = Float[Array, "size size 1 channels"]


class DepthwiseConv(nn.Module):
    """`depthwise_conv` with a kernel of its own, named and shaped as `nn.Conv` does.

    Attributes:
        size: side of the square kernel, in pixels.
        stride: in pixels.
        dtype: in which it computes.
    """

    size: int
    stride: int
    dtype: DTypeLike

    @nn.compact
    def __call__(self, x: Images, slope: Float[Array, " channels"] | None = None) -> Images:
        """Convolves, with the kernel times a slope by channel where one is given."""
        shape = (self.size, self.size, 1, x.shape[-1])
        kernel = self.param("kernel", nn.initializers.variance_scaling(2.0, "fan_in", "normal"), shape, jnp.float32)
        return depthwise_conv(x.astype(self.dtype), with_factor(kernel, slope, self.dtype), self.stride)


def depthwise_conv(x: Images, kernel: Kernel, stride: int) -> Images:
    """Convolves each channel with its own kernel, padded as "SAME" is: TensorFlow's way, one more at the far side."""
    return shifted(x, kernel, stride) if on_cpu() else grouped(x, kernel, stride)


def grouped(x: Images, kernel: Kernel, stride: int) -> Images:
    """The convolution as accelerators have it."""
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1],
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def shifted(x: Images, kernel: Kernel, stride: int) -> Images:
    """The convolution as a sum of shifted images, in float32; for CPUs."""
    pixels = taps(x, kernel.shape[0], stride)
    weights = kernel.astype(jnp.float32).reshape(-1, 1, 1, 1, kernel.shape[-1])
    return sum((tap * weights[i] for i, tap in enumerate(pixels[1:], start=1)), pixels[0] * weights[0]).astype(x.dtype)


def _forward(x: Images, kernel: Kernel, stride: int) -> tuple[Images, tuple[Images, Kernel]]:
    # By chunks, although the whole batch would do: what a loop gives is kept. Else XLA's CPU compiler computes the sum
    # once more for each step of the backward pass that reads it, a sixth of a training step (RESULTS.md).
    y = by_chunk(lambda chunk: shifted(chunk, kernel, stride), x)
    return y.reshape(-1, *y.shape[2:]), (x, kernel)


def _backward(stride: int, saved: tuple[Images, Kernel], d_y: Images) -> tuple[Images, Kernel]:
    x, kernel = saved
    wide = d_y.astype(jnp.float32)
    d_kernel = _kernel_gradient(x.astype(jnp.float32), wide, kernel.shape[0], stride).astype(kernel.dtype)
    return _image_gradient(kernel.astype(jnp.float32), wide, x.shape, stride).astype(x.dtype), d_kernel


shifted.defvjp(_forward, _backward)


def _kernel_gradient(x: Images, d_y: Images, size: int, stride: int) -> Kernel:
    """The gradient for the kernel: for each of its numbers the sum of pixels times gradients, row by row of the result,
    so that both rows, and the sums, stay in a CPU's caches.
    """
    batch, height, width, channels = d_y.shape
    padded = padded_same(x, size, stride)
    places = [(i, j) for i in range(size) for j in range(size)]

    def add_row(n: jax.Array, sums: tuple[Array, ...]) -> tuple[Array, ...]:
        image, row = n // height, n % height
        gradients = jax.lax.dynamic_slice(d_y, (image, row, 0, 0), (1, 1, width, channels))[0, 0]
        pixels = jax.lax.dynamic_slice(padded, (image, row * stride, 0, 0), (1, size, padded.shape[2], channels))[0]
        return tuple(
            total + pixels[i, j : j + (width - 1) * stride + 1 : stride] * gradients
            for total, (i, j) in zip(sums, places, strict=True)
        )

    zeros = tuple(jnp.zeros((width, channels), jnp.float32) for _ in places)
    sums = jax.lax.fori_loop(0, batch * height, add_row, zeros)
    return jnp.stack([one.sum(axis=0) for one in sums]).reshape(size, size, 1, channels)


def _image_gradient(kernel: Kernel, d_y: Images, shape: tuple[int, ...], stride: int) -> Images:
    """The gradient for the image: each pixel (by its place within a stride) has its own share of the kernel."""
    size = kernel.shape[0]
    rows, columns = (side_of(length, size, stride) for length in shape[1:3])
    # Of the padded image, in strides; and how far back the kernel reaches.
    height, width = (
        -(-(length + side.low) // stride) for length, side in zip(shape[1:3], (rows, columns), strict=True)
    )
    reach = (size - 1) // stride
    after = [(reach, max(length - side.out, 0)) for length, side in ((height, rows), (width, columns))]
    padded = jnp.pad(d_y, ((0, 0), *after, (0, 0)))

    def of_place(row: int, column: int) -> Images:
        total = jnp.zeros((shape[0], height, width, shape[3]), jnp.float32)
        for i in range(row, size, stride):
            for j in range(column, size, stride):
                top, left = reach - (i - row) // stride, reach - (j - column) // stride
                weight = kernel[i, j].reshape(1, 1, 1, -1)
                total += padded[:, top : top + height, left : left + width] * weight
        return total

    places = jnp.stack([jnp.stack([of_place(i, j) for j in range(stride)], axis=3) for i in range(stride)], axis=2)
    whole = places.reshape(shape[0], height * stride, width * stride, shape[3])
    return whole[:, rows.low : rows.low + shape[1], columns.low : columns.low + shape[2]]
