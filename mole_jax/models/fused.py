"""Batch norm, ReLU and max-pool as one layer with its own gradient: the same numbers as the three, with less memory
traffic.

Normalising is an affine map a channel, hence monotone: the largest normalised pixel of a window is the normalised
largest pixel (the smallest, where gamma is negative). So we pool first and normalise what is left, a quarter of the
pixels or a ninth; and the gradient needs only the convolution's output, the pooled extremes and the statistics.
Measured in RESULTS.md.
"""

from functools import partial
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

Pixels = Float[Array, "batch height width channels"]
Pooled = Float[Array, "batch rows columns channels"]
Channels = Float[Array, " channels"]


class BatchNormReluMaxPool(nn.Module):
    """`max_pool(relu(batch_norm(x)), size)`; variables as `nn.BatchNorm` names them.

    Attributes:
        size: of the non-overlapping windows; a remainder at the right and bottom counts in the statistics only.
        momentum: of the moving statistics.
        epsilon: added to the variance.
    """

    size: int
    momentum: float
    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x: Pixels, *, train: bool) -> Pooled:
        """Normalises with the batch's statistics where `train`, else with the moving ones."""
        channels = x.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        moving_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        moving_var = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        if not train:
            slope = scale * jax.lax.rsqrt(moving_var.value + self.epsilon)
            return _affine_relu(_window_extremes(x, scale, self.size), slope, moving_mean.value, bias)
        out, mean, var = batch_norm_relu_max_pool(x, scale, bias, self.size, self.epsilon)
        if not self.is_initializing():
            moving_mean.value = self.momentum * moving_mean.value + (1 - self.momentum) * mean
            moving_var.value = self.momentum * moving_var.value + (1 - self.momentum) * var
        return out


@partial(jax.custom_vjp, nondiff_argnums=(3, 4))
def batch_norm_relu_max_pool(
    x: Pixels, scale: Channels, bias: Channels, size: int, epsilon: float
) -> tuple[Pooled, Channels, Channels]:
    """Gives the pooled output and the batch's mean and (biased) variance; no gradient flows through the latter two."""
    return _forward(x, scale, bias, size, epsilon)[0]


def _forward(x: Pixels, scale: Channels, bias: Channels, size: int, epsilon: float) -> tuple[Any, Any]:
    wide = x.astype(jnp.float32)
    mean = wide.mean(axis=(0, 1, 2))
    var = jnp.maximum((wide * wide).mean(axis=(0, 1, 2)) - mean * mean, 0)
    inverse = jax.lax.rsqrt(var + epsilon)
    extremes = _window_extremes(x, scale, size)
    out = _affine_relu(extremes, scale * inverse, mean, bias)
    return (out, mean, var), (x, extremes, out, scale, mean, inverse)


def _backward(size: int, epsilon: float, saved: Any, cotangents: Any) -> tuple[Pixels, Channels, Channels]:
    del epsilon
    x, extremes, out, scale, mean, inverse = saved
    batch, height, width, channels = x.shape
    _, rows, columns, _ = extremes.shape
    gradient = jnp.where(out > 0, cotangents[0], jnp.zeros((), out.dtype)).astype(jnp.float32)
    normalised = (extremes.astype(jnp.float32) - _row(mean)) * _row(inverse)
    d_bias = gradient.sum(axis=(0, 1, 2))
    d_scale = (gradient * normalised).sum(axis=(0, 1, 2))

    # The gradient of batch norm itself: dx = slope * (dy - mean(dy) - x_normalised * mean(dy * x_normalised)), where
    # dy is zero but at each window's extreme. Pixels that share the extreme share its gradient, as the gradient of
    # jnp.max has it.
    def spread(pooled: jax.Array) -> jax.Array:
        full = jnp.broadcast_to(pooled[:, :, None, :, None], (batch, rows, size, columns, size, channels))
        full = full.reshape(batch, rows * size, columns * size, channels)
        return jnp.pad(full, ((0, 0), (0, height - rows * size), (0, width - columns * size), (0, 0)))

    windows = x[:, : rows * size, : columns * size].reshape(batch, rows, size, columns, size, channels)
    ties = (windows == extremes[:, :, None, :, None]).sum(axis=(2, 4)).astype(jnp.float32)
    dy = jnp.where(x == spread(extremes), spread(gradient / ties), jnp.float32(0))
    pixels = batch * height * width
    slope = scale * inverse
    dx = _row(slope) * dy - (
        _row(slope * d_bias / pixels) + (x.astype(jnp.float32) - _row(mean)) * _row(slope * inverse * d_scale / pixels)
    )
    return dx.astype(x.dtype), d_scale, d_bias


batch_norm_relu_max_pool.defvjp(_forward, _backward)


def _row(channels: Channels) -> Float[Array, "1 1 1 channels"]:
    return channels.reshape(1, 1, 1, -1)


def _window_extremes(x: Pixels, scale: Channels, size: int) -> Pooled:
    """The largest pixel of each window, or the smallest in channels where `scale` is negative."""
    sign = _row(jnp.where(scale < 0, -1, 1).astype(x.dtype))
    rows, columns = x.shape[1] // size, x.shape[2] // size
    cells = [x[:, i : rows * size : size, j : columns * size : size] * sign for i in range(size) for j in range(size)]
    largest = cells[0]
    for cell in cells[1:]:
        largest = jnp.maximum(largest, cell)
    return largest * sign


def _affine_relu(extremes: Pooled, slope: Channels, mean: Channels, bias: Channels) -> Pooled:
    normalised = (extremes.astype(jnp.float32) - _row(mean)) * _row(slope) + _row(bias)
    return nn.relu(normalised).astype(extremes.dtype)
