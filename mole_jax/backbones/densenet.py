"""DenseNet: each layer reads what all layers of its block before it gave (Huang et al. 2017, arXiv:1608.06993).

What the layers give is kept once. Their inputs, all of it side by side, are made where they are read, and made again in
the backward pass: kept, they would grow with the square of a block's layers (Pleiss et al. 2017, arXiv:1707.06990).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.backbones.base import NameTable, outputs
from mole_jax.backbones.densenet_names import NAMES
from mole_jax.backbones.norm import RELU, Affine, BatchNorm, BatchNormOfParts, normalised
from mole_jax.backbones.pointwise import PointwiseConv, PointwiseKernel
from mole_jax.backbones.resnet import max_pool
from mole_jax.chunks import by_chunk

Variant = Literal["keras", "torchvision"]
EPSILON: dict[Variant, float] = {"keras": 1.001e-5, "torchvision": 1e-5}  # of all batch norms
BOTTLENECK = 4  # times the growth: channels between a layer's two convolutions


@dataclass(frozen=True)
class DenseNetConfig:
    """What decides the graph and the names and shapes of the variables.

    Attributes:
        block_sizes: layers a block; between two blocks channels and sides are halved.
        growth: channels that each layer adds.
        width: channels of the stem.
        variant: whose epsilon batch norm has.
        classes: outputs of the classifier; None: no classifier, the output is the last feature map.
    """

    block_sizes: tuple[int, ...] = (6, 12, 24, 16)
    growth: int = 32
    width: int = 64
    variant: Variant = "torchvision"
    classes: int | None = None

    @property
    def image_size(self) -> int:
        """224, of all public ImageNet weights."""
        return 224

    @property
    def levels(self) -> tuple[str, ...]:
        """`stem` (after the max pool), h/4 by w/4; `block1` as large; each later block half of that; `features`, the
        last of them, normalised.
        """
        return ("stem", *(f"block{number}" for number in range(1, len(self.block_sizes) + 1)), "features")

    @property
    def layers(self) -> tuple[str, ...]:
        """Convolutions and batch norms from the input on."""
        names = ["conv0", "bn0"]
        for number, size in enumerate(self.block_sizes, start=1):
            inside = ("bn1", "conv1", "bn2", "conv2")
            names += [f"block{number}_{index}/{name}" for index in range(size) for name in inside]
            names += [f"transition{number}/{name}" for name in ("bn", "conv") if number < len(self.block_sizes)]
        return (*names, "last_bn")

    @property
    def trains_by_chunks(self) -> bool:
        """No: of 3x3 convolutions they are not."""
        return False

    @property
    def names(self) -> NameTable:
        """Keras', torchvision's and timm's."""
        return NAMES

    def network(
        self, *, dtype: DTypeLike = jnp.float32, bn_momentum: float = 0.9, name: str | None = None
    ) -> nn.Module:
        """The Linen module."""
        return DenseNet(self, dtype, bn_momentum, name=name)

    def fitted(self, variant: str, classes: int | None) -> "DenseNetConfig":
        """The same network as a file has it."""
        return replace(self, variant=cast(Variant, variant), classes=classes)


class DenseNet(nn.Module):
    """The network: 7x7 stem, max pool, dense blocks with transitions between them, average pool, optional classifier.

    Attributes:
        config: what decides the graph.
        dtype: type of convolutions and activations (float32 or bfloat16); parameters, pooling and logits are float32.
        bn_momentum: share of the old moving statistics that an update keeps, 0..1.
    """

    config: DenseNetConfig
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
        config, norm = self.config, (RELU, self.bn_momentum, EPSILON[self.config.variant])
        x = _conv(config.width, 7, self.dtype, stride=2, name="conv0")(images)
        x = max_pool(BatchNorm(*norm, name="bn0")(x, train=train))
        named = {"stem": x}
        for number, size in enumerate(config.block_sizes, start=1):
            parts = [x]
            for index in range(size):
                parts.append(
                    _Layer(config, self.dtype, self.bn_momentum, name=f"block{number}_{index}")(parts, train=train)
                )
            x = jnp.concatenate(parts, axis=-1)
            named[f"block{number}"] = x
            if number < len(config.block_sizes):
                x = _Transition(config, self.dtype, self.bn_momentum, name=f"transition{number}")(x, train=train)
        x = BatchNorm(*norm, name="last_bn")(x, train=train)
        return outputs(x, named, config.classes)


class _Layer(nn.Module):
    """Batch norm and 1x1 of what came before; batch norm, 3x3."""

    config: DenseNetConfig
    dtype: DTypeLike
    bn_momentum: float

    @nn.compact
    def __call__(self, parts: Sequence[Float[Array, "b h w _"]], *, train: bool) -> Float[Array, "b h w growth"]:
        epsilon = EPSILON[self.config.variant]
        affine = BatchNormOfParts(self.bn_momentum, epsilon, name="bn1")(parts, train=train)
        kernel = PointwiseKernel(BOTTLENECK * self.config.growth, name="conv1")(affine.mean.size)
        x = _gathered(tuple(parts), affine, kernel.astype(self.dtype))
        x = BatchNorm(RELU, self.bn_momentum, epsilon, name="bn2")(x, train=train)
        return _conv(self.config.growth, 3, self.dtype, name="conv2")(x)


@jax.custom_vjp
def _gathered(
    parts: tuple[Float[Array, "b h w _"], ...], affine: Affine, kernel: Float[Array, "c channels"]
) -> Float[Array, "b h w channels"]:
    """`relu(batch_norm(parts side by side)) @ kernel`; of it nothing but the parts is kept for the gradient."""
    return _gather(parts, affine, kernel)


def _gather(
    parts: tuple[Float[Array, "b h w _"], ...], affine: Affine, kernel: Float[Array, "c channels"]
) -> Float[Array, "b h w channels"]:
    return normalised(jnp.concatenate(parts, axis=-1), *affine, RELU) @ kernel


def _gathered_forward(parts: Any, affine: Affine, kernel: Array) -> tuple[Array, Any]:
    return _gathered(parts, affine, kernel), (parts, affine, kernel)


def _gathered_backward(saved: Any, d_y: Array) -> tuple[Any, Affine, Array]:
    # The barrier keeps accelerators' compilers, and the loop over chunks a CPU's, from taking the forward pass's arrays
    # instead of making them again.
    parts, affine, kernel = jax.lax.optimization_barrier(saved)

    def of_chunk(chunk: tuple[Any, Array]) -> tuple[Any, Affine, Array]:
        d_parts, d_affine, d_kernel = jax.vjp(_gather, chunk[0], affine, kernel)[1](chunk[1])
        return d_parts, d_affine, d_kernel.astype(jnp.float32)

    d_parts, d_affine, d_kernel = by_chunk(of_chunk, (parts, d_y))
    d_parts = jax.tree.map(lambda d: d.reshape(-1, *d.shape[2:]), d_parts)
    d_affine, d_kernel = jax.tree.map(lambda d: d.sum(axis=0), (d_affine, d_kernel))
    return d_parts, d_affine, d_kernel.astype(kernel.dtype)


_gathered.defvjp(_gathered_forward, _gathered_backward)


class _Transition(nn.Module):
    """Batch norm, 1x1 to half of the channels, and the average of each 2x2 pixels; an odd last row is left out."""

    config: DenseNetConfig
    dtype: DTypeLike
    bn_momentum: float

    @nn.compact
    def __call__(self, x: Float[Array, "b h w c"], *, train: bool) -> Float[Array, "b h2 w2 c2"]:
        x = BatchNorm(RELU, self.bn_momentum, EPSILON[self.config.variant], name="bn")(x, train=train)
        x = PointwiseConv(x.shape[-1] // 2, self.dtype, name="conv")(x)
        rows, columns = x.shape[1] // 2, x.shape[2] // 2
        cells = x[:, : 2 * rows, : 2 * columns].reshape(x.shape[0], rows, 2, columns, 2, x.shape[3])
        return cells.mean(axis=(2, 4))


def _conv(channels: int, kernel: int, dtype: DTypeLike, *, stride: int = 1, name: str) -> nn.Conv:
    side = (kernel // 2, kernel // 2)
    return nn.Conv(
        channels, (kernel, kernel), (stride, stride), padding=(side, side), use_bias=False, dtype=dtype, name=name
    )
