"""The convolutional network that the paper's released code trained.

Every padding layer of that code was fed the input image, so its first two blocks were dead code: what was trained is
one padded 3x3 convolution and one with stride 3.
"""

import jax.numpy as jnp
from jax.typing import DTypeLike

from mole_jax.models import cnn
from mole_jax.models.base import Model

# (channels, kernel, stride, zero padding, pool) of each block.
BLOCKS: cnn.Blocks = ((128, 3, 1, 1, 2), (128, 3, 3, 0, 3))


def model(*, bn_momentum: float = 0.99, dtype: DTypeLike = jnp.float32) -> Model:
    """The network of the released code, 9,605,825 trainable parameters."""
    return cnn.model(blocks=BLOCKS, bn_momentum=bn_momentum, dtype=dtype)
