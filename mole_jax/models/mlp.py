"""The paper's neural network on flattened pixels: 1024;256;64;16;4;1 with ReLU."""

from collections.abc import Sequence

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.models.base import Model, from_linen
from mole_jax.models.layers import FullyConnected


class MLP(nn.Module):
    """Fully connected layers on the flattened image."""

    widths: Sequence[int]
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width 3"], *, train: bool) -> Float[Array, "batch 1"]:
        """Gives the logits."""
        del train
        return FullyConnected(self.widths, dtype=self.dtype, name="head")(images.reshape(images.shape[0], -1))


def model(*, widths: Sequence[int] = (1024, 256, 64, 16, 4, 1), dtype: DTypeLike = jnp.float32) -> Model:
    """The paper's network, or a narrower one."""
    return from_linen(MLP(tuple(widths), dtype))
