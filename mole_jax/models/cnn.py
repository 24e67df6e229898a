"""The paper's convolutional network, as its text describes it: four blocks, then 512;32;1."""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.models.base import Model, from_linen
from mole_jax.models.cnn_fused import FusedCNN
from mole_jax.models.layers import FullyConnected

# (channels, kernel, stride, zero padding, pool) of each block.
Blocks = tuple[tuple[int, int, int, int, int], ...]
BLOCKS: Blocks = ((32, 7, 1, 3, 2), (64, 5, 1, 2, 2), (128, 3, 1, 1, 2), (128, 3, 3, 0, 3))
# Neurons of the fully connected layers after the convolutions.
WIDTHS = (512, 32, 1)


class CNN(nn.Module):
    """The network, one layer after the other. `FusedCNN` has the same variables and numbers and is what runs."""

    blocks: Blocks
    bn_momentum: float
    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width 3"], *, train: bool) -> Float[Array, "batch 1"]:
        """Gives the logits."""
        x = images.astype(self.dtype)
        for i, (channels, kernel, stride, padding, pool) in enumerate(self.blocks, start=1):
            x = nn.Conv(
                channels,
                (kernel, kernel),
                strides=stride,
                padding=padding,
                kernel_init=nn.initializers.glorot_uniform(),
                dtype=self.dtype,
                name=f"conv{i}",
            )(x)
            x = nn.BatchNorm(
                use_running_average=not train,
                momentum=self.bn_momentum,
                epsilon=1e-3,  # Keras' default
                use_fast_variance=False,
                dtype=self.dtype,
                name=f"bn{i}",
            )(x)
            x = nn.relu(x)
            x = nn.max_pool(x, (pool, pool), strides=(pool, pool))
        return FullyConnected(WIDTHS, dtype=self.dtype, name="head")(x.reshape(x.shape[0], -1))


def model(
    *, blocks: Blocks = BLOCKS, bn_momentum: float = 0.99, dtype: DTypeLike = jnp.float32, fused: bool = True
) -> Model:
    """The network of the paper's text, 884,929 trainable parameters; or a smaller one with fewer blocks.

    Args:
        blocks: (channels, kernel, stride, zero padding, pool) of each block.
        bn_momentum: share of the old moving statistics that an update keeps, 0..1.
        dtype: type of the activations, float32 or bfloat16.
        fused: whether to use the fast form, with a gradient of its own; otherwise the plain layers above.
    """
    if fused:
        return from_linen(FusedCNN(blocks, WIDTHS, bn_momentum, dtype), chunked=True)
    return from_linen(CNN(blocks, bn_momentum, dtype))
