"""Convolution, batch norm, ReLU and max-pool as one layer with its own gradient: the same numbers as the four, with
less memory traffic.

Normalising is an affine map a channel, hence monotone: the largest normalised pixel of a window is the normalised
largest pixel (the smallest, where gamma is negative). So we pool first and normalise what is left, a quarter of the
pixels or a ninth; and the gradient needs only the convolution's output, the pooled extremes and the statistics.
On a CPU the work goes a few images at a time, forward and backward, so that what a convolution writes is still in the
caches when it is read. Measured in RESULTS.md.
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.models.chunks import by_chunk, in_chunks, on_cpu
from mole_jax.models.conv_gradients import Images, Kernel, conv, input_gradient, kernel_gradient

Pooled = Float[Array, "batch rows columns channels"]
Channels = Float[Array, " channels"]

# Images a chunk in training: with fewer the kernel's gradient, whose inner dimension they are, is slower.
CHUNK = 8
# With at most so many channels in, such as an image's three, the convolution's output is not kept for the backward pass
# but computed once more: that costs 4 % of a step of the paper's CNN and saves 6.4 MB an image.
FEW = 4


class Geometry(NamedTuple):
    """Of a convolution and the pooling after it.

    Attributes:
        stride: of the convolution.
        padding: zeros on each side of the image.
        pool: side of the non-overlapping windows; a remainder at the right and bottom counts in the statistics only.
    """

    stride: int
    padding: int
    pool: int


class BatchNormReluMaxPool(nn.Module):
    """`max_pool(relu(batch_norm(conv(x, kernel) + offset)))`; variables as `nn.BatchNorm` names them.

    Attributes:
        geometry: of the convolution and the windows.
        momentum: of the moving statistics.
        epsilon: added to the variance.
    """

    geometry: Geometry
    momentum: float
    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x: Images, kernel: Kernel, offset: Channels, *, train: bool) -> Pooled:
        """Normalises with the batch's statistics where `train`, else with the moving ones."""
        channels = kernel.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        moving_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        moving_var = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        # The convolution's offset moves the mean and nothing else: it is never added to the pixels.
        if not train:
            y = conv(x, kernel, self.geometry.stride, self.geometry.padding)
            slope = scale * jax.lax.rsqrt(moving_var.value + self.epsilon)
            extremes = _window_extremes(y, scale, self.geometry.pool)
            return _affine_relu(extremes, slope, moving_mean.value - offset, bias)
        out, mean, var = conv_batch_norm_relu_max_pool(x, kernel, scale, bias, self.geometry, self.epsilon)
        if not self.is_initializing():
            moving_mean.value = self.momentum * moving_mean.value + (1 - self.momentum) * (mean + offset)
            moving_var.value = self.momentum * moving_var.value + (1 - self.momentum) * var
        return out


@partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def conv_batch_norm_relu_max_pool(
    x: Images, kernel: Kernel, scale: Channels, bias: Channels, geometry: Geometry, epsilon: float
) -> tuple[Pooled, Channels, Channels]:
    """Gives the pooled output and the batch's mean and (biased) variance; no gradient flows through the latter two."""
    return _forward(x, kernel, scale, bias, geometry, epsilon)[0]


def _forward(
    x: Images, kernel: Kernel, scale: Channels, bias: Channels, geometry: Geometry, epsilon: float
) -> tuple[Any, Any]:
    def of_chunk(x: Images) -> tuple[Images | None, Pooled, tuple[Channels, ...]]:
        y = conv(x, kernel, geometry.stride, geometry.padding)
        wide = y.astype(jnp.float32)
        kept = y if x.shape[-1] > FEW else None
        return kept, _window_extremes(y, scale, geometry.pool), channel_sums(wide, wide * wide)

    y, extremes, sums = by_chunk(of_chunk, x, most=CHUNK)
    y, extremes = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), (y, extremes))
    mean, mean_square = (s.sum(axis=0) / _pixels(x, kernel, geometry) for s in sums)
    var = jnp.maximum(mean_square - mean * mean, 0)
    inverse = jax.lax.rsqrt(var + epsilon)
    # In chunks, so that this is computed once: XLA's CPU compiler would else fuse a copy into all that read it.
    out = in_chunks(lambda chunk: _affine_relu(chunk, scale * inverse, mean, bias), extremes, most=CHUNK)
    return (out, mean, var), (x, kernel, y, extremes, out, scale, mean, inverse)


def _backward(
    geometry: Geometry, epsilon: float, saved: Any, cotangents: Any
) -> tuple[Images, Kernel, Channels, Channels]:
    del epsilon
    x, kernel, y, extremes, out, scale, mean, inverse = saved
    gradient = jnp.where(out > 0, cotangents[0], jnp.zeros((), out.dtype)).astype(jnp.float32)
    normalised = (extremes.astype(jnp.float32) - _row(mean)) * _row(inverse)
    d_bias, d_scale = channel_sums(gradient, gradient * normalised)
    # The gradient of batch norm itself: d_y = slope * (d - mean(d) - y_normalised * mean(d * y_normalised)), where d is
    # zero but at each window's extreme.
    slope, pixels = scale * inverse, _pixels(x, kernel, geometry)
    mean_d, mean_dy = slope * d_bias / pixels, slope * inverse * d_scale / pixels

    def of_chunk(chunk: tuple[Images, Images | None, Pooled, Pooled]) -> tuple[Images, Kernel]:
        x, y, extremes, gradient = chunk
        y = conv(x, kernel, geometry.stride, geometry.padding) if y is None else y
        d = _to_extremes(gradient * _row(slope), y, extremes, geometry.pool)
        d_y = (d - (_row(mean_d) + (y.astype(jnp.float32) - _row(mean)) * _row(mean_dy))).astype(y.dtype)
        return (
            input_gradient(x, kernel, d_y, geometry.stride, geometry.padding),
            kernel_gradient(x, kernel, d_y, geometry.stride, geometry.padding).astype(jnp.float32),
        )

    d_x, d_kernel = by_chunk(of_chunk, (x, y, extremes, gradient), most=CHUNK)
    return d_x.reshape(x.shape), d_kernel.sum(axis=0).astype(kernel.dtype), d_scale, d_bias


conv_batch_norm_relu_max_pool.defvjp(_forward, _backward)


def _pixels(x: Images, kernel: Kernel, geometry: Geometry) -> int:
    """How many the convolution gives, of all images together."""
    y = jax.eval_shape(lambda: conv(x, kernel, geometry.stride, geometry.padding))
    return y.size // y.shape[-1]


def _row(channels: Channels) -> Float[Array, "1 1 1 channels"]:
    return channels.reshape(1, 1, 1, -1)


def channel_sums(*arrays: Images) -> tuple[Channels, ...]:
    """The sum of each array over all but its channels, in one pass over what they are computed from."""
    if not on_cpu():
        return tuple(a.sum(axis=(0, 1, 2)) for a in arrays)
    # XLA's CPU compiler turns a sum over more than 32 numbers into a slow tree of windows, so we sum by stages.
    count, channels = arrays[0].size // arrays[0].shape[-1], arrays[0].shape[-1]
    sums = tuple(a.reshape(count, channels) for a in arrays)
    while count > 1:
        stage = max((d for d in range(2, 33) if count % d == 0), default=count)
        count //= stage
        sums = _add_rows(tuple(s.reshape(count, stage, channels) for s in sums))
    return tuple(s.reshape(channels) for s in sums)


def _add_rows(arrays: tuple[Float[Array, "count stage channels"], ...]) -> tuple[Float[Array, "count channels"], ...]:
    """Sums over the middle axis, as one reduction of several operands: that is one loop."""

    def add(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(x + y for x, y in zip(a, b, strict=True))

    return tuple(jax.lax.reduce(arrays, tuple(jnp.zeros((), a.dtype) for a in arrays), add, (1,)))


def _window_extremes(y: Images, scale: Channels, size: int) -> Pooled:
    """The largest pixel of each window, or the smallest in channels where `scale` is negative."""
    sign = _row(jnp.where(scale < 0, -1, 1).astype(y.dtype))
    rows, columns = y.shape[1] // size, y.shape[2] // size
    cells = [y[:, i : rows * size : size, j : columns * size : size] * sign for i in range(size) for j in range(size)]
    largest = cells[0]
    for cell in cells[1:]:
        largest = jnp.maximum(largest, cell)
    return largest * sign


def _to_extremes(gradient: Pooled, y: Images, extremes: Pooled, size: int) -> Images:
    """Puts each window's gradient on its extreme; pixels that share the extreme share it, as jnp.max has it."""
    batch, height, width, channels = y.shape
    _, rows, columns, _ = extremes.shape

    def spread(pooled: Pooled) -> Images:
        full = jnp.broadcast_to(pooled[:, :, None, :, None], (batch, rows, size, columns, size, channels))
        full = full.reshape(batch, rows * size, columns * size, channels)
        return jnp.pad(full, ((0, 0), (0, height - rows * size), (0, width - columns * size), (0, 0)))

    windows = y[:, : rows * size, : columns * size].reshape(batch, rows, size, columns, size, channels)
    ties = (windows == extremes[:, :, None, :, None]).sum(axis=(2, 4)).astype(jnp.float32)
    return jnp.where(y == spread(extremes), spread(gradient / ties), jnp.float32(0))


def _affine_relu(extremes: Pooled, slope: Channels, mean: Channels, bias: Channels) -> Pooled:
    normalised = (extremes.astype(jnp.float32) - _row(mean)) * _row(slope) + _row(bias)
    return nn.relu(normalised).astype(extremes.dtype)
