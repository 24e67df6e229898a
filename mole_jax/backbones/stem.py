"""A network's first convolution, of all colours with all."""

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.backbones.norm import with_factor
from mole_jax.backbones.shifts import taps
from mole_jax.chunks import on_cpu

SIZE, STRIDE = 3, 2


class StemConv(nn.Module):
    """3x3, stride 2, without bias, its kernel named and shaped as `nn.Conv` does.

    Attributes:
        channels: number of output channels.
        dtype: in which it computes.
    """

    channels: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, images: Float[Array, "b h w c"], slope: Float[Array, " channels"] | None = None
    ) -> Float[Array, "b h2 w2 channels"]:
        """Convolves, with the kernel times a slope by output channel where one is given."""
        shape = (SIZE, SIZE, images.shape[-1], self.channels)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), shape, jnp.float32)
        images, kernel = images.astype(self.dtype), with_factor(kernel, slope, self.dtype)
        if on_cpu():  # as a product, since in a loop XLA's CPU compiler is fifty times as slow with the gradient
            return products(images, kernel, STRIDE)
        return jax.lax.conv_general_dilated(
            images, kernel, (STRIDE, STRIDE), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )


def products(
    x: Float[Array, "batch _ _ channels"], kernel: Float[Array, "size size channels out"], stride: int
) -> Float[Array, "batch _ _ out"]:
    """A convolution, padded as "SAME" is, as one product of matrices; for few channels on CPUs."""
    pixels = jnp.concatenate(taps(x, kernel.shape[0], stride), axis=-1).astype(x.dtype)
    flat = pixels.reshape(-1, pixels.shape[-1]) @ kernel.reshape(-1, kernel.shape[-1])
    return flat.reshape(*pixels.shape[:-1], kernel.shape[-1])
