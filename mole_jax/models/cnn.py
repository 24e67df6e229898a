"""The paper's convolutional network, as its text describes it: four blocks, then 512;32;1."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.models.base import Model, from_linen
from mole_jax.models.fused import BatchNormReluMaxPool, Deferred, Geometry
from mole_jax.models.layers import ConvVariables, Head

# (channels, kernel, stride, zero padding, pool) of each block.
BLOCKS = ((32, 7, 1, 3, 2), (64, 5, 1, 2, 2), (128, 3, 1, 1, 2), (128, 3, 3, 0, 3))


class CNN(nn.Module):
    """Blocks of zero padding, convolution, batch norm, ReLU, max-pool; then fully connected layers."""

    blocks: tuple[tuple[int, int, int, int, int], ...]
    bn_momentum: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width 3"], *, train: bool) -> Float[Array, "batch 1"]:
        """Gives the logits."""
        x = Deferred(images.astype(self.dtype), None)
        for i, (channels, kernel, stride, padding, pool) in enumerate(self.blocks, start=1):
            weights, offset = ConvVariables(channels, kernel, name=f"conv{i}")(x.pixels.shape[-1])
            layer = BatchNormReluMaxPool(Geometry(stride, padding, pool), self.bn_momentum, name=f"bn{i}")
            x = layer(x, weights.astype(self.dtype), offset, train=train)
        features = x.apply()
        return Head((512, 32, 1), dtype=self.dtype, name="head")(features.reshape(len(features), -1))


def model(
    *,
    blocks: tuple[tuple[int, int, int, int, int], ...] = BLOCKS,
    bn_momentum: float = 0.99,
    dtype: DTypeLike = jnp.float32,
) -> Model:
    """The network of the paper's text, 884,929 trainable parameters; with fewer blocks a smaller one."""
    return from_linen(CNN(blocks, bn_momentum, dtype), chunked=True)
