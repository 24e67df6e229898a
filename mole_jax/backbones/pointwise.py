"""1x1 convolution."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.backbones.norm import with_factor


class PointwiseConv(nn.Module):
    """A 1x1 convolution without bias, its kernel named and shaped as `nn.Conv` does.

    It is written as the matrix product that it is: then so are its gradients, for any compiler.

    Attributes:
        channels: number of output channels.
        dtype: in which it computes.
    """

    channels: int
    dtype: DTypeLike

    @nn.compact
    def __call__(
        self, x: Float[Array, "b h w c"], slope: Float[Array, " channels"] | None = None
    ) -> Float[Array, "b h w channels"]:
        """Multiplies, with the kernel times a slope by output channel where one is given."""
        kernel = with_factor(pointwise_kernel(self, x.shape[-1], self.channels), slope, self.dtype)
        # Of two axes, so that the kernel's gradient sums over one; for three a CPU would turn the image round first.
        return (x.astype(self.dtype).reshape(-1, x.shape[-1]) @ kernel).reshape(*x.shape[:-1], self.channels)


class PointwiseKernel(nn.Module):
    """The kernel of a 1x1 convolution, for a layer that multiplies itself.

    Attributes:
        channels: number of output channels.
    """

    channels: int

    @nn.compact
    def __call__(self, channels_in: int) -> Float[Array, "channels_in channels"]:
        """Gives the kernel."""
        return pointwise_kernel(self, channels_in, self.channels)


def pointwise_kernel(module: nn.Module, channels_in: int, channels: int) -> Float[Array, "channels_in channels"]:
    """Of a module, under `nn.Conv`'s name and in its shape."""
    shape = (1, 1, channels_in, channels)
    kernel: Array = module.param(
        "kernel", nn.initializers.variance_scaling(2.0, "fan_out", "normal"), shape, jnp.float32
    )
    return kernel[0, 0]
