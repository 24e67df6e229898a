"""EfficientNet-Lite: EfficientNet for small devices, without squeeze-and-excitation and with ReLU6.

Tan and Le 2019 (arXiv:1905.11946) for the stages; "lite" as their authors released it in 2020
(github.com/tensorflow/tpu, models/official/efficientnet/lite): stem, last convolution and the repeats of the first and
last stage are not scaled. Padding is TensorFlow's "SAME", which is XLA's too.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.backbones.base import NameTable, outputs
from mole_jax.backbones.depthwise import DepthwiseConv
from mole_jax.backbones.efficientnet_lite_names import name_table
from mole_jax.backbones.norm import NONE, RELU6, BatchNorm, Bounds, MovingNorm, bounded
from mole_jax.backbones.pointwise import PointwiseConv
from mole_jax.backbones.stem import StemConv

STEM, HEAD = 32, 1280  # channels of the first and the last convolution
EPSILON = 1e-3  # of all batch norms


class _Stage(NamedTuple):
    kernel: int
    stride: int
    expansion: int
    channels: int
    repeats: int


# EfficientNet-B0's.
_STAGES = (
    _Stage(3, 1, 1, 16, 1),
    _Stage(3, 2, 6, 24, 2),
    _Stage(5, 2, 6, 40, 2),
    _Stage(3, 2, 6, 80, 3),
    _Stage(5, 1, 6, 112, 3),
    _Stage(5, 2, 6, 192, 4),
    _Stage(3, 1, 6, 320, 1),
)


@dataclass(frozen=True)
class EfficientNetLiteConfig:
    """What decides the graph and the names and shapes of the variables.

    Attributes:
        width: factor of the stages' channels.
        depth: factor of the middle stages' repeats.
        image_size: side of the images, in pixels, that the published weights were trained on.
        classes: outputs of the classifier; None: no classifier, the output is the last feature map.
        variant: "tf": padding and batch norm's epsilon (1e-3) are TensorFlow's, as in all published weights but timm's
            own efficientnet_lite0.
    """

    width: float = 1.0
    depth: float = 1.0
    image_size: int = 224
    classes: int | None = None
    variant: Literal["tf"] = "tf"

    @property
    def blocks(self) -> tuple[tuple[str, _Stage], ...]:
        """(name, its own kernel, stride, expansion, channels) of each block; stages count from 1, blocks from 0."""
        last = len(_STAGES) - 1
        found = []
        for number, stage in enumerate(_STAGES):
            repeats = stage.repeats if number in (0, last) else math.ceil(self.depth * stage.repeats)
            for index in range(repeats):
                own = stage._replace(channels=self._scaled(stage.channels), stride=1 if index else stage.stride)
                found.append((f"stage{number + 1}_{index}", own))
        return tuple(found)

    def _scaled(self, channels: int) -> int:
        """A multiple of eight near width * channels, and not below nine tenths of it."""
        wanted = self.width * channels
        rounded = max(8, int(wanted + 4) // 8 * 8)
        return rounded if rounded >= 0.9 * wanted else rounded + 8

    @property
    def levels(self) -> tuple[str, ...]:
        """`stem`, h/2 by w/2; `stage1` as large, 2, 3, 4 and 6 half of the one before; `features`, 1280 channels."""
        return ("stem", *(f"stage{number}" for number in range(1, len(_STAGES) + 1)), "features")

    @property
    def layers(self) -> tuple[str, ...]:
        """Convolutions and batch norms from the input on."""
        names = ["stem_conv", "stem_bn"]
        for block, stage in self.blocks:
            parts = ("depthwise", "project") if stage.expansion == 1 else ("expand", "depthwise", "project")
            names += [f"{block}/{part}_{kind}" for part in parts for kind in ("conv", "bn")]
        return (*names, "head_conv", "head_bn")

    @property
    def trains_by_chunks(self) -> bool:
        """Yes: its convolutions are products and sums of shifted images."""
        return True

    @property
    def names(self) -> NameTable:
        """The authors' PyTorch port's, and timm's."""
        return name_table([block for block, _ in self.blocks])

    def network(
        self, *, dtype: DTypeLike = jnp.float32, bn_momentum: float = 0.9, name: str | None = None
    ) -> nn.Module:
        """The Linen module."""
        return EfficientNetLite(self, dtype, bn_momentum, name=name)

    def fitted(self, variant: str, classes: int | None) -> "EfficientNetLiteConfig":
        """The same network as a file has it; there is one variant alone."""
        del variant
        return replace(self, classes=classes)


class EfficientNetLite(nn.Module):
    """The network: 3x3 stem, stages of inverted bottlenecks, a 1x1 convolution, average pool, optional classifier.

    Attributes:
        config: what decides the graph.
        dtype: type of convolutions and activations (float32 or bfloat16); parameters, pooling and logits are float32.
        bn_momentum: share of the old moving statistics that an update keeps, 0..1.
    """

    config: EfficientNetLiteConfig
    dtype: DTypeLike = jnp.float32
    bn_momentum: float = 0.9

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool) -> tuple[Array, dict[str, Array]]:
        """Runs the network on images preprocessed as its weights need (`mole_jax.inputs.normalize`).

        Args:
            images: [b, h, w, 3].
            train: True normalises by the batch's statistics and updates the moving ones (make "batch_stats" mutable).

        Returns:
            As `Architecture.network` says.
        """
        norm = _Norm(self.bn_momentum, train)
        x = norm("stem_bn", RELU6, StemConv(STEM, self.dtype, name="stem_conv"), STEM, images)
        named = {"stem": x}
        for name, stage in self.config.blocks:
            x = _Block(stage, self.dtype, norm, name=name)(x)
            named[name.partition("_")[0]] = x  # the stage's last block stays
        x = norm("head_bn", RELU6, PointwiseConv(HEAD, self.dtype, name="head_conv"), HEAD, x)
        return outputs(x, named, self.config.classes)


@dataclass(frozen=True)
class _Norm:
    """A convolution, and batch norm and activation after it.

    Attributes:
        momentum: share of the old moving statistics that an update keeps, 0..1.
        train: normalises by the batch's statistics; else by the moving ones, whose factor goes into the kernel.
    """

    momentum: float
    train: bool

    def __call__(
        self, name: str, bounds: Bounds, conv: Callable[..., Array], channels: int, x: Float[Array, "b h w c"]
    ) -> Float[Array, "b h2 w2 c2"]:
        """Applies them; `channels`: that the convolution gives."""
        if self.train:
            return BatchNorm(bounds, self.momentum, EPSILON, name=name)(conv(x), train=True)
        slope, offset = MovingNorm(EPSILON, name=name)(channels)
        return bounded(conv(x, slope), offset, bounds)


class _Block(nn.Module):
    """An inverted bottleneck: 1x1 to more channels, depthwise, 1x1 to fewer; added to its input where that fits."""

    stage: _Stage
    dtype: DTypeLike
    norm: _Norm

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c2"]:
        kernel, stride, expansion, channels, _ = self.stage
        y, inner, norm = x, expansion * x.shape[-1], self.norm
        if expansion != 1:
            y = norm("expand_bn", RELU6, PointwiseConv(inner, self.dtype, name="expand_conv"), inner, y)
        y = norm("depthwise_bn", RELU6, DepthwiseConv(kernel, stride, self.dtype, name="depthwise_conv"), inner, y)
        y = norm("project_bn", NONE, PointwiseConv(channels, self.dtype, name="project_conv"), channels, y)
        return x + y if stride == 1 and x.shape[-1] == channels else y
