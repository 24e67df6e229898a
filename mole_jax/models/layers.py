"""Layers with Keras' defaults, which are the paper's."""

from collections.abc import Sequence
from functools import partial

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

# Keras: glorot-uniform kernels and zero biases (the latter is Flax's default too).
Dense = partial(nn.Dense, kernel_init=nn.initializers.glorot_uniform())


class ConvVariables(nn.Module):
    """The kernel and bias of a convolution, named as `nn.Conv` names them, for a layer that does the work itself.

    Attributes:
        channels: number of output channels.
        size: side of the square kernel, in pixels.
    """

    channels: int
    size: int

    @nn.compact
    def __call__(
        self, channels_in: int
    ) -> tuple[Float[Array, "size size channels_in channels"], Float[Array, " channels"]]:
        """Gives (kernel, bias)."""
        shape = (self.size, self.size, channels_in, self.channels)
        kernel = self.param("kernel", nn.initializers.glorot_uniform(), shape, jnp.float32)
        return kernel, self.param("bias", nn.initializers.zeros, (self.channels,), jnp.float32)


class FullyConnected(nn.Module):
    """Fully connected layers with ReLU between them; the last is linear (logits).

    Attributes:
        widths: number of neurons of each layer.
        dtype: type of the activations, float32 or bfloat16.
    """

    widths: Sequence[int]
    dtype: DTypeLike = jnp.float32

    @nn.compact
    def __call__(self, x: Float[Array, "batch features"]) -> Float[Array, "batch out"]:
        """Applies the layers."""
        for i, width in enumerate(self.widths):
            x = Dense(width, name=f"fc{i + 1}", dtype=self.dtype)(x)
            if i < len(self.widths) - 1:
                x = nn.relu(x)
        return x.astype(jnp.float32)
