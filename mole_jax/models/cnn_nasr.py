"""The convolutional network of Nasr-Esfahani et al. (2016), as far as it is known.

The publication (doi:10.1109/EMBC.2016.7590963) could not be read for this. That it has seven layers, and reached an
accuracy of .81, is what the paper says of it. Kernels of 5x5 with 20 and 50 channels, each followed by pooling, are
LeNet's as Caffe ships it (Jia et al. 2014, arXiv:1408.5093), the usual beginning then; these, and the widths of the
three fully connected layers, are ours.
"""

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.models.base import Model, from_linen
from mole_jax.models.layers import FullyConnected

CHANNELS = (20, 50)
WIDTHS = (100, 50, 1)


class NasrCNN(nn.Module):
    """Convolution, ReLU and max-pool, twice; then fully connected layers."""

    dtype: DTypeLike

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width 3"], *, train: bool) -> Float[Array, "batch 1"]:
        """Gives the logits."""
        del train
        x = images.astype(self.dtype)
        for i, channels in enumerate(CHANNELS, start=1):
            x = nn.Conv(
                channels,
                (5, 5),
                padding="VALID",
                kernel_init=nn.initializers.glorot_uniform(),
                dtype=self.dtype,
                name=f"conv{i}",
            )(x)
            x = nn.max_pool(nn.relu(x), window_shape=(2, 2), strides=(2, 2))
        return FullyConnected(WIDTHS, dtype=self.dtype, name="head")(x.reshape(x.shape[0], -1))


def model(*, dtype: DTypeLike = jnp.float32) -> Model:
    """The network, 14,076,771 trainable parameters on images of 224x224."""
    return from_linen(NasrCNN(dtype), chunked=True)
