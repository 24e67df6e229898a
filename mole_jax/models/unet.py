"""A small U-Net: for each pixel of an image the log odds that it is lesion."""

from collections.abc import Sequence
from typing import Any, Final

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.models.base import Model, Variables, all_trainable

# Channels of each level, from the image down; a level has half the side of the one above it.
WIDTHS: Final = (16, 32, 64, 96, 128)
BN_MOMENTUM: Final = 0.9  # of runs of some hundred steps


class TwoConvolutions(nn.Module):
    """Twice: 3x3 convolution, batch norm, ReLU.

    Attributes:
        channels: number of output channels.
    """

    channels: int

    @nn.compact
    def __call__(self, x: Float[Array, "batch h w c"], *, train: bool) -> Float[Array, "batch h w {self.channels}"]:
        """Applies them."""
        for i in (1, 2):
            x = nn.Conv(self.channels, (3, 3), use_bias=False, name=f"conv{i}")(x)
            x = nn.BatchNorm(use_running_average=not train, momentum=BN_MOMENTUM, name=f"bn{i}")(x)
            x = nn.relu(x)
        return x


class UNet(nn.Module):
    """The network.

    Source: Ronneberger, Fischer and Brox 2015 (arXiv:1505.04597), with padding, batch norm, and nearest pixels instead
    of transposed convolutions on the way up.

    Attributes:
        widths: channels of each level.
    """

    widths: Sequence[int] = WIDTHS

    @nn.compact
    def __call__(self, images: Float[Array, "batch side side 3"], *, train: bool) -> Float[Array, "batch side side"]:
        """Gives the logits; half the side of each level but the last is whole."""
        x, levels = images, []
        for i, channels in enumerate(self.widths):
            if i:
                x = nn.max_pool(x, window_shape=(2, 2), strides=(2, 2))
            x = TwoConvolutions(channels, name=f"down{i}")(x, train=train)
            levels.append(x)
        for i in reversed(range(len(self.widths) - 1)):
            x = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
            x = jnp.concatenate([levels[i], x], axis=-1)
            x = TwoConvolutions(self.widths[i], name=f"up{i}")(x, train=train)
        return nn.Conv(1, (1, 1), name="out")(x)[..., 0]


def model(widths: Sequence[int] = WIDTHS) -> Model:
    """The network as pure functions; 921,921 trainable parameters. Its `apply` takes images in [-1, 1], as `scaled`
    gives them, and gives logits [batch, side, side], one a pixel.
    """
    module = UNet(tuple(widths))

    def init(key: jax.Array, *, input_shape: Sequence[int]) -> Variables:
        variables = module.init(key, jnp.zeros(input_shape, jnp.float32), train=False)
        return {"params": variables["params"], "batch_stats": variables["batch_stats"]}

    def apply(
        variables: Variables, images: Float[Array, "batch side side 3"], *, train: bool, key: jax.Array | None = None
    ) -> tuple[Float[Array, "batch side side"], Any]:
        del key
        if not train:
            return module.apply(variables, images, train=False), variables["batch_stats"]
        logits, updated = module.apply(variables, images, train=True, mutable=["batch_stats"])
        return logits, updated["batch_stats"]

    return Model(init, apply, all_trainable, scores=apply)  # one class, a score a pixel


def scaled(images: Array) -> Float[Array, "..."]:
    """Bytes as the network takes them: 0..255 to -1..1."""
    return images.astype(jnp.float32) / 127.5 - 1
