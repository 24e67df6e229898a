"""The fast form of `mole_jax.models.cnn.CNN`: batch norm and ReLU are applied where the next layer reads."""

import flax.linen as nn
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.models.fused import BatchNormReluMaxPool, Deferred, Geometry
from mole_jax.models.layers import ConvVariables, FullyConnected


class FusedCNN(nn.Module):
    """Blocks of zero padding, convolution, batch norm, ReLU, max-pool; then fully connected layers.

    Attributes:
        blocks: (channels, kernel, stride, zero padding, pool) of each block.
        widths: number of neurons of each fully connected layer.
        bn_momentum: share of the old moving statistics that an update keeps, 0..1.
        dtype: type of the activations, float32 or bfloat16.
    """

    blocks: tuple[tuple[int, int, int, int, int], ...]
    widths: tuple[int, ...]
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
        return FullyConnected(self.widths, dtype=self.dtype, name="head")(features.reshape(features.shape[0], -1))
