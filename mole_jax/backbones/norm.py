"""Batch norm and the activation after it as one step, with a gradient that a CPU computes fast too.

XLA's CPU compiler makes a slow tree of each sum over all pixels, of which autodiff of a batch norm asks for two. Here
they are one pass by stages (`chunks.py: channel_sums`). Where moving statistics normalise, less is to be done: the
convolution before takes the factor into its kernel, and what remains is an offset (`MovingNorm`, `bounded`), whose
gradient is one sum.
"""

import math
from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.typing import DTypeLike
from jaxtyping import Array, Float

from mole_jax.chunks import channel_sum, channel_sums

Images = Float[Array, "batch height width channels"]
Channels = Float[Array, " channels"]
# What an activation keeps: (lowest, highest).
Bounds = tuple[float, float]
NONE: Bounds = (-math.inf, math.inf)
RELU: Bounds = (0.0, math.inf)
RELU6: Bounds = (0.0, 6.0)


class Affine(NamedTuple):
    """Batch norm as it is applied: `(x - mean) * slope + bias`, by channel."""

    mean: Channels
    slope: Channels
    bias: Channels


class BatchNorm(nn.Module):
    """`nn.BatchNorm`, its variables and numbers, and then what lies within the bounds.

    Computes in float32 and returns the type that it is given.

    Attributes:
        bounds: NONE, RELU or RELU6.
        momentum: share of the old moving statistics that an update keeps, 0..1.
        epsilon: number added to the variance.
    """

    bounds: Bounds
    momentum: float
    epsilon: float

    @nn.compact
    def __call__(self, x: Images, *, train: bool) -> Images:
        """Normalises with the batch's statistics where `train`, else with the moving ones."""
        return normalised(x, *_affine_of(self, (x,), self.momentum, self.epsilon, train), self.bounds)


class MovingNorm(nn.Module):
    """The variables of `BatchNorm`, and what it does when its moving statistics normalise.

    Attributes:
        epsilon: number added to the variance.
    """

    epsilon: float

    @nn.compact
    def __call__(self, channels: int) -> tuple[Channels, Channels]:
        """Gives (the factor, what is added then), by channel."""
        scale, bias, mean, var = _variables(self, channels)
        slope = scale * jax.lax.rsqrt(var.value + self.epsilon)
        return slope, bias - mean.value * slope


def with_factor(kernel: Float[Array, "..."], factor: Channels | None, dtype: DTypeLike) -> Float[Array, "..."]:
    """A convolution's kernel, whose last axis is the output's channels, times `MovingNorm`'s factor where there is one;
    of the type in which it computes.
    """
    if factor is not None:
        kernel = kernel * factor.reshape((1,) * (kernel.ndim - 1) + (-1,))
    return kernel.astype(dtype)


class BatchNormOfParts(nn.Module):
    """The variables of a batch norm over images that lie in parts, which the caller normalises.

    Attributes:
        momentum: share of the old moving statistics that an update keeps, 0..1.
        epsilon: number added to the variance.
    """

    momentum: float
    epsilon: float

    @nn.compact
    def __call__(self, parts: Sequence[Float[Array, "batch height width _"]], *, train: bool) -> Affine:
        """Gives what `normalised` applies to the parts side by side."""
        return _affine_of(self, parts, self.momentum, self.epsilon, train)


def _affine_of(
    module: nn.Module,
    parts: Sequence[Float[Array, "batch height width _"]],
    momentum: float,
    epsilon: float,
    train: bool,
) -> Affine:
    scale, bias, moving_mean, moving_var = _variables(module, sum(part.shape[-1] for part in parts))
    mean, var = moving_mean.value, moving_var.value
    if train:
        mean, var = (jnp.concatenate(of_parts) for of_parts in zip(*map(moments, parts), strict=True))
    if train and not module.is_initializing():
        moving_mean.value = momentum * moving_mean.value + (1 - momentum) * mean
        moving_var.value = momentum * moving_var.value + (1 - momentum) * var
    return Affine(mean, scale * jax.lax.rsqrt(var + epsilon), bias)


def _variables(module: nn.Module, channels: int) -> tuple[Any, Any, nn.Variable[Any], nn.Variable[Any]]:
    """A batch norm's scale, bias, moving mean and moving variance."""
    return (
        module.param("scale", nn.initializers.ones, (channels,), jnp.float32),
        module.param("bias", nn.initializers.zeros, (channels,), jnp.float32),
        module.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32),
        module.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32),
    )


@partial(jax.custom_vjp, nondiff_argnums=(2,))
def bounded(x: Images, offset: Channels, bounds: Bounds) -> Images:
    """`x + offset`, by channel, cut off at the bounds."""
    return jnp.clip(x.astype(jnp.float32) + row(offset), *bounds).astype(x.dtype)


def _bounded_forward(x: Images, offset: Channels, bounds: Bounds) -> tuple[Images, Images | None]:
    y = bounded(x, offset, bounds)
    return y, None if bounds == NONE else y


def _bounded_backward(bounds: Bounds, y: Images | None, d_y: Images) -> tuple[Images, Channels]:
    if y is not None:
        d_y = jnp.where((y > bounds[0]) & (y < bounds[1]), d_y, jnp.zeros((), d_y.dtype))
    return d_y, channel_sum(d_y.astype(jnp.float32))


bounded.defvjp(_bounded_forward, _bounded_backward)


@partial(jax.custom_vjp, nondiff_argnums=(4,))
def normalised(x: Images, mean: Channels, slope: Channels, bias: Channels, bounds: Bounds) -> Images:
    """`(x - mean) * slope + bias`, cut off at the bounds."""
    return jnp.clip(applied(x, mean, slope, bias), *bounds).astype(x.dtype)


def applied(x: Images, mean: Channels, slope: Channels, bias: Channels) -> Images:
    """`(x - mean) * slope + bias`, in float32."""
    return (x.astype(jnp.float32) - row(mean)) * row(slope) + row(bias)


def _normalised_forward(
    x: Images, mean: Channels, slope: Channels, bias: Channels, bounds: Bounds
) -> tuple[Images, Any]:
    return normalised(x, mean, slope, bias, bounds), (x, mean, slope, bias)


def _normalised_backward(bounds: Bounds, saved: Any, d_y: Images) -> tuple[Images, Channels, Channels, Channels]:
    x, mean, slope, bias = saved
    y = applied(x, mean, slope, bias)
    inside = (y > bounds[0]) & (y < bounds[1])
    d_y = jnp.where(inside, d_y.astype(jnp.float32), jnp.float32(0))
    d_bias, d_slope = channel_sums(d_y, d_y * (x.astype(jnp.float32) - row(mean)))
    return (d_y * row(slope)).astype(x.dtype), -slope * d_bias, d_slope, d_bias


normalised.defvjp(_normalised_forward, _normalised_backward)


@jax.custom_vjp
def moments(x: Images) -> tuple[Channels, Channels]:
    """Mean and (biased) variance of each channel over the batch."""
    return _moments_forward(x)[0]


def _moments_forward(x: Images) -> tuple[tuple[Channels, Channels], tuple[Images, Channels]]:
    wide, count = x.astype(jnp.float32), x.size // x.shape[-1]
    (total,) = channel_sums(wide)
    mean = total / count
    (squares,) = channel_sums((wide - row(mean)) ** 2)
    return (mean, squares / count), (x, mean)


def _moments_backward(saved: tuple[Images, Channels], cotangents: tuple[Channels, Channels]) -> tuple[Images]:
    x, mean = saved
    d_mean, d_var = cotangents
    count = x.size // x.shape[-1]
    d_x = row(d_mean / count) + (x.astype(jnp.float32) - row(mean)) * row(2 * d_var / count)
    return (d_x.astype(x.dtype),)


moments.defvjp(_moments_forward, _moments_backward)


def row(channels: Channels) -> Float[Array, "1 1 1 channels"]:
    """Numbers by channel, as they go with images."""
    return channels.reshape(1, 1, 1, -1)
