"""ResNet in the two variants that public ImageNet weights come in; see `ResNetConfig`.

Every padding is explicit: XLA's "SAME" pads strided layers on other sides than Keras and torch did in training.
"""

import functools
from dataclasses import dataclass, replace
from typing import Literal, cast

import flax.linen as nn
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.backbones.base import NameTable, outputs
from mole_jax.backbones.resnet_names import NAMES
from mole_jax.chunks import on_cpu
from mole_jax.errors import UserError

Variant = Literal["v1", "v1.5"]


@dataclass(frozen=True)
class ResNetConfig:
    """What decides the graph and the names and shapes of the variables.

    `v1` is Keras Applications' (stride on the first 1x1, biases before batch norm, epsilon 1.001e-5), after He et al.
    2015; `v1.5` is torchvision's (stride on the 3x3, no such biases, epsilon 1e-5). Their kernels have the same shapes,
    so the wrong graph runs without an error and gives wrong results.
    """

    variant: Variant = "v1.5"
    block: Literal["bottleneck", "basic"] = "bottleneck"
    stage_sizes: tuple[int, ...] = (3, 4, 6, 3)  # blocks a stage; each stage after the first halves the resolution
    width: int = 64  # channels of the stem; stage k (from 0) works at width * 2**k
    classes: int | None = None  # outputs of the classifier; None: no classifier, the output is the last feature map

    def __post_init__(self) -> None:
        """Refuses the one combination that no public weights have."""
        if self.variant == "v1" and self.block == "basic":
            raise UserError(
                "a v1 (Keras) ResNet has no basic block: choose a bottleneck one, such as resnet50, or v1.5 weights"
            )

    @property
    def blocks(self) -> tuple[tuple[str, int, int], ...]:
        """(name, channels inside, stride) of each block from the input on; stages count from 1, blocks from 0."""
        return tuple(
            (f"layer{stage + 1}_{index}", self.width * 2**stage, 2 if stage > 0 and index == 0 else 1)
            for stage, size in enumerate(self.stage_sizes)
            for index in range(size)
        )

    @property
    def image_size(self) -> int:
        """224, of all public ImageNet weights."""
        return 224

    @property
    def levels(self) -> tuple[str, ...]:
        """`stem` (after the max pool), h/4 by w/4; `layer1`, as large; each later stage half of that; `features`, the
        last of them.
        """
        return ("stem", *(f"layer{stage}" for stage in range(1, len(self.stage_sizes) + 1)), "features")

    @property
    def layers(self) -> tuple[str, ...]:
        """Convolutions and batch norms; a block's shortcut comes first, as it starts from the block's input."""
        names = ["conv1", "bn1"]
        bottleneck = self.block == "bottleneck"
        for block, _, stride in self.blocks:
            has_shortcut = stride != 1 or (bottleneck and block == "layer1_0")
            shortcut = ["downsample_conv", "downsample_bn"] if has_shortcut else []
            inside = [f"{kind}{i}" for i in range(1, 4 if bottleneck else 3) for kind in ("conv", "bn")]
            names += [f"{block}/{name}" for name in (*shortcut, *inside)]
        return tuple(names)

    @property
    def trains_by_chunks(self) -> bool:
        """No: of 3x3 convolutions they are not."""
        return False

    @property
    def names(self) -> NameTable:
        """Keras', torchvision's, timm's and Hugging Face's."""
        return NAMES

    def network(
        self, *, dtype: DTypeLike = jnp.float32, bn_momentum: float = 0.9, name: str | None = None
    ) -> nn.Module:
        """The Linen module."""
        return ResNet(self, dtype, bn_momentum, name=name)

    def fitted(self, variant: str, classes: int | None) -> "ResNetConfig":
        """The same network as a file has it; of basic blocks there is one variant alone."""
        return replace(self, variant=self.variant if self.block == "basic" else cast(Variant, variant), classes=classes)


class ResNet(nn.Module):
    """The network: 7x7 stem, max pool, stages of residual blocks, global average pool, optional classifier.

    Attributes:
        config: what decides the graph.
        dtype: type of convolutions and activations (float32 or bfloat16); parameters, pooling and logits are float32.
        bn_momentum: share of the old moving statistics that an update keeps, 0..1.
    """

    config: ResNetConfig
    dtype: DTypeLike = jnp.float32
    bn_momentum: float = 0.9

    @nn.compact
    def __call__(self, images: Float[Array, "b h w 3"], *, train: bool) -> tuple[Array, dict[str, Array]]:
        """Runs the network on images preprocessed as its weights need (`mole_jax.inputs.normalize`).

        Args:
            images: [b, h, w, 3]; h and w are 224 for the ImageNet weights, and any multiple of 32 otherwise.
            train: True normalises by the batch's statistics and updates the moving ones (make "batch_stats" mutable).

        Returns:
            The logits [b, classes] (float32), or without a classifier the features [b, h/32, w/32, channels]; and by
            name: `stem` (after the max pool) [b, h/4, w/4, width], `layer1` to `layer4`, `features` (the last of these)
            and `pooled` [b, channels] (float32).
        """
        x = _conv(self, images, self.config.width, 7, stride=2, name="conv1")
        x = nn.relu(_norm(self, x, train=train, name="bn1"))
        x = max_pool(x)
        named = {"stem": x}
        for name, channels, stride in self.config.blocks:
            x = _Block(self.config, channels, stride, self.dtype, self.bn_momentum, name=name)(x, train=train)
            named[name.partition("_")[0]] = x  # the stage's last block stays
        return outputs(x, named, self.config.classes)


class _Block(nn.Module):
    """A residual block: 1x1, 3x3, 1x1 (bottleneck, four times as many channels out as inside) or 3x3, 3x3 (basic)."""

    config: ResNetConfig
    channels: int
    stride: int
    dtype: DTypeLike
    bn_momentum: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h2 w2 c2"]:
        inside = self.channels
        if self.config.block == "basic":
            convolutions = [(inside, 3, self.stride), (inside, 3, 1)]  # (channels out, kernel, stride)
        elif self.config.variant == "v1":
            convolutions = [(inside, 1, self.stride), (inside, 3, 1), (4 * inside, 1, 1)]
        else:
            convolutions = [(inside, 1, 1), (inside, 3, self.stride), (4 * inside, 1, 1)]
        y = x
        for i, (channels, kernel, stride) in enumerate(convolutions, start=1):
            y = _conv(self, y, channels, kernel, stride=stride, name=f"conv{i}")
            y = _norm(self, y, train=train, name=f"bn{i}")
            y = nn.relu(y) if i < len(convolutions) else y
        if self.stride != 1 or x.shape[-1] != y.shape[-1]:
            x = _conv(self, x, y.shape[-1], 1, stride=self.stride, name="downsample_conv")
            x = _norm(self, x, train=train, name="downsample_bn")
        return nn.relu(x + y)


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 c"]:
    """The largest of each 3x3 window with stride 2, padded by one pixel; x is not negative."""
    if not on_cpu():
        return nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
    # XLA's CPU compiler goes through the windows pixel by pixel; nine shifted images are three times as fast. Zeros
    # will do for padding, as x comes from a ReLU.
    rows, columns = (-(-side // 2) for side in x.shape[1:3])
    padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    shifted = [padded[:, i : i + 2 * rows - 1 : 2, j : j + 2 * columns - 1 : 2] for i in range(3) for j in range(3)]
    return functools.reduce(jnp.maximum, shifted)


def _conv(parent: ResNet | _Block, x: Array, channels: int, kernel: int, *, stride: int, name: str) -> Array:
    side = (kernel // 2, kernel // 2)
    return nn.Conv(
        channels,
        (kernel, kernel),
        strides=(stride, stride),
        padding=(side, side),
        use_bias=parent.config.variant == "v1",
        kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),  # He et al. 2015, as torchvision
        dtype=parent.dtype,
        name=name,
    )(x)


def _norm(parent: ResNet | _Block, x: Array, *, train: bool, name: str) -> Array:
    """Normalises in float32, whatever the compute type, and returns that type."""
    return nn.BatchNorm(
        use_running_average=not train,
        momentum=parent.bn_momentum,
        epsilon=1.001e-5 if parent.config.variant == "v1" else 1e-5,
        dtype=parent.dtype,
        name=name,
    )(x.astype(jnp.float32))
