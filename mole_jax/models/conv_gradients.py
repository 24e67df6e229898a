"""The gradients of a convolution, in the forms that XLA's CPU compiler computes fast."""

import jax
from jaxtyping import Array, Float

from mole_jax.chunks import on_cpu

LAYOUT = ("NHWC", "HWIO", "NHWC")
Images = Float[Array, "batch _ _ _"]  # height, width, channels: of different sizes before and after a convolution
Kernel = Float[Array, "_ _ channels_in channels_out"]


def conv(x: Images, kernel: Kernel, stride: int, padding: int) -> Images:
    """The convolution, padded with zeros on all four sides."""
    sides = ((padding, padding), (padding, padding))
    return jax.lax.conv_general_dilated(x, kernel, (stride, stride), sides, dimension_numbers=LAYOUT)


def input_gradient(x: Images, kernel: Kernel, d_y: Images, stride: int, padding: int) -> Images:
    """The gradient of `conv` with respect to x."""
    if not on_cpu():
        return jax.vjp(lambda x: conv(x, kernel, stride, padding), x)[1](d_y)[0]
    # Autodiff asks for a window reversal, for which XLA's CPU compiler has a fast convolution only outside of loops.
    flipped = kernel[::-1, ::-1].transpose(0, 1, 3, 2)
    sides = tuple(
        (size - 1 - padding, x.shape[i] - 1 - (d_y.shape[i] - 1) * stride + padding)
        for i, size in enumerate(kernel.shape[:2], start=1)
    )
    return jax.lax.conv_general_dilated(
        d_y, flipped, (1, 1), sides, lhs_dilation=(stride, stride), dimension_numbers=LAYOUT
    )


def kernel_gradient(x: Images, kernel: Kernel, d_y: Images, stride: int, padding: int) -> Kernel:
    """The gradient of `conv` with respect to the kernel."""
    if not on_cpu():
        return jax.vjp(lambda kernel: conv(x, kernel, stride, padding), kernel)[1](d_y)[0]
    # A convolution over the images as channels. Autodiff's is the same one, but written so that XLA's CPU compiler has
    # a fast form of it only outside of loops.
    sides = tuple(
        (padding, (d_y.shape[i] - 1) * stride + size - x.shape[i] - padding)
        for i, size in enumerate(kernel.shape[:2], start=1)
    )
    return jax.lax.conv_general_dilated(
        x.transpose(3, 1, 2, 0),
        d_y.transpose(1, 2, 0, 3),
        (1, 1),
        sides,
        rhs_dilation=(stride, stride),
        dimension_numbers=LAYOUT,
    ).transpose(1, 2, 0, 3)
