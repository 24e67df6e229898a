"""Convolution, max-pool, batch norm and ReLU as one layer with its own gradient: the same numbers as convolution, batch
norm, ReLU and max-pool one after the other, with less memory and less traffic.

Normalising is an affine map a channel, hence monotone: the largest normalised pixel of a window is the normalised
largest pixel (the smallest, where gamma is negative). So we pool first, which leaves a quarter or a ninth of the
pixels, and normalise these where the next layer reads them: only the convolution's output and the pooled extremes are
kept for the gradient. On a CPU the work goes a few images at a time, forward and backward, so that what a convolution
writes is still in the caches when it is read. RESULTS.md has the measurements.
"""

from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.backbones.norm import Affine, Channels, applied, row
from mole_jax.chunks import by_chunk, channel_sums
from mole_jax.models.conv_gradients import Images, Kernel, conv, input_gradient, kernel_gradient

Pooled = Float[Array, "batch rows columns channels"]

# Images in a chunk in training: with fewer, the kernel's gradient, whose inner dimension they are, is slower.
CHUNK = 8
# With at most so many channels in, such as an image's three, the convolution's output is not kept for the backward pass
# but computed once more: that costs 4 % of a step of the paper's CNN and saves 6.4 MB an image.
FEW = 4


class Geometry(NamedTuple):
    """The geometry of a convolution and of the pooling after it.

    Attributes:
        stride: stride of the convolution, in pixels.
        padding: number of zeros on each side of the image.
        pool: side of the non-overlapping windows, in pixels; a remainder at the right and bottom counts only in the
            statistics.
    """

    stride: int
    padding: int
    pool: int


class Deferred(NamedTuple):
    """An array, and the batch norm to apply to it before a ReLU; None: neither is to be applied, as to images."""

    pixels: Images
    affine: Affine | None

    def apply(self) -> Images:
        """Gives the array with both applied."""
        if self.affine is None:
            return self.pixels
        return nn.relu(applied(self.pixels, *self.affine)).astype(self.pixels.dtype)


class BatchNormReluMaxPool(nn.Module):
    """`max_pool(relu(batch_norm(conv(x, kernel) + offset)))`; variables as `nn.BatchNorm` names them.

    Attributes:
        geometry: geometry of the convolution and of the windows.
        momentum: share of the old moving statistics that an update keeps, 0..1.
        epsilon: number added to the variance.
    """

    geometry: Geometry
    momentum: float
    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x: Deferred, kernel: Kernel, offset: Channels, *, train: bool) -> Deferred:
        """Normalises with the batch's statistics where `train`, else with the moving ones."""
        channels = kernel.shape[-1]
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        moving_mean = self.variable("batch_stats", "mean", jnp.zeros, (channels,), jnp.float32)
        moving_var = self.variable("batch_stats", "var", jnp.ones, (channels,), jnp.float32)
        # The convolution's offset moves the mean and nothing else: it is never added to the pixels.
        if train:
            extremes, mean, var = conv_max_pool(x, kernel, scale, self.geometry)
            if not self.is_initializing():
                moving_mean.value = self.momentum * moving_mean.value + (1 - self.momentum) * (mean + offset)
                moving_var.value = self.momentum * moving_var.value + (1 - self.momentum) * var
        else:
            y = conv(x.apply(), kernel, self.geometry.stride, self.geometry.padding)
            extremes = _window_extremes(y, scale, self.geometry.pool)
            mean, var = moving_mean.value - offset, moving_var.value
        return Deferred(extremes, Affine(mean, scale * jax.lax.rsqrt(var + self.epsilon), bias))


@partial(jax.custom_vjp, nondiff_argnums=(3,))
def conv_max_pool(x: Deferred, kernel: Kernel, sign: Channels, geometry: Geometry) -> tuple[Pooled, Channels, Channels]:
    """Convolves and pools.

    Args:
        x: the input images or pooled pixels.
        kernel: kernel of the convolution.
        sign: where it is negative, a window's smallest pixel is taken, else its largest; no gradient flows into it.
        geometry: geometry of the convolution and of the windows.

    Returns:
        The extremes, and the mean and (biased) variance of the convolution's output over the batch.
    """
    return _forward(x, kernel, sign, geometry)[0]


def _forward(x: Deferred, kernel: Kernel, sign: Channels, geometry: Geometry) -> tuple[Any, Any]:
    def of_chunk(pixels: Images) -> tuple[Images | None, Pooled, tuple[Channels, ...]]:
        y = conv(Deferred(pixels, x.affine).apply(), kernel, geometry.stride, geometry.padding)
        wide = y.astype(jnp.float32)
        kept = y if pixels.shape[-1] > FEW else None
        return kept, _window_extremes(y, sign, geometry.pool), channel_sums(wide, wide * wide)

    y, extremes, sums = by_chunk(of_chunk, x.pixels, most=CHUNK)
    y, extremes = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), (y, extremes))
    mean, mean_square = (s.sum(axis=0) / _pixels(x.pixels, kernel, geometry) for s in sums)
    var = jnp.maximum(mean_square - mean * mean, 0)
    return (extremes, mean, var), (x, kernel, y, extremes, mean)


def _backward(geometry: Geometry, saved: Any, cotangents: Any) -> tuple[Deferred, Kernel, None]:
    x, kernel, y, extremes, mean = saved
    d_extremes, d_mean, d_var = cotangents
    count = _pixels(x.pixels, kernel, geometry)

    def of_chunk(chunk: tuple[Images, Images | None, Pooled, Pooled]) -> tuple[Images, Affine | None, Kernel]:
        pixels, y, extremes, d_extremes = chunk
        activations = Deferred(pixels, x.affine).apply()
        y = conv(activations, kernel, geometry.stride, geometry.padding) if y is None else y
        d_y = _to_extremes(d_extremes.astype(jnp.float32), y, extremes, geometry.pool)
        d_y += row(d_mean / count) + (y.astype(jnp.float32) - row(mean)) * row(2 * d_var / count)
        d_y = d_y.astype(y.dtype)
        d_kernel = kernel_gradient(activations, kernel, d_y, geometry.stride, geometry.padding).astype(jnp.float32)
        d_x = input_gradient(activations, kernel, d_y, geometry.stride, geometry.padding)
        if x.affine is None:
            return d_x, None, d_kernel
        d_x = jnp.where(activations > 0, d_x, jnp.zeros((), d_x.dtype)).astype(jnp.float32)
        d_bias, d_slope = channel_sums(d_x, d_x * (pixels.astype(jnp.float32) - row(x.affine.mean)))
        d_affine = Affine(-x.affine.slope * d_bias, d_slope, d_bias)
        return (d_x * row(x.affine.slope)).astype(pixels.dtype), d_affine, d_kernel

    d_pixels, d_affine, d_kernel = by_chunk(of_chunk, (x.pixels, y, extremes, d_extremes), most=CHUNK)
    d_affine, d_kernel = jax.tree.map(lambda d: d.sum(axis=0), (d_affine, d_kernel))
    return Deferred(d_pixels.reshape(x.pixels.shape), d_affine), d_kernel.astype(kernel.dtype), None


conv_max_pool.defvjp(_forward, _backward)


def _pixels(x: Images, kernel: Kernel, geometry: Geometry) -> int:
    """How many pixels the convolution gives, over all images."""
    y = jax.eval_shape(lambda: conv(x, kernel, geometry.stride, geometry.padding))
    return y.size // y.shape[-1]


def _window_extremes(y: Images, scale: Channels, size: int) -> Pooled:
    """The largest pixel of each window, or the smallest in channels where `scale` is negative."""
    sign = row(jnp.where(scale < 0, -1, 1).astype(y.dtype))
    rows, columns = y.shape[1] // size, y.shape[2] // size
    cells = [y[:, i : rows * size : size, j : columns * size : size] * sign for i in range(size) for j in range(size)]
    largest = cells[0]
    for cell in cells[1:]:
        largest = jnp.maximum(largest, cell)
    return largest * sign


def _to_extremes(gradient: Pooled, y: Images, extremes: Pooled, size: int) -> Images:
    """Puts each window's gradient on its extreme; pixels that tie for it share the gradient, as with jnp.max."""
    batch, height, width, channels = y.shape
    _, rows, columns, _ = extremes.shape

    def spread(pooled: Pooled) -> Images:
        full = jnp.broadcast_to(pooled[:, :, None, :, None], (batch, rows, size, columns, size, channels))
        full = full.reshape(batch, rows * size, columns * size, channels)
        return jnp.pad(full, ((0, 0), (0, height - rows * size), (0, width - columns * size), (0, 0)))

    windows = y[:, : rows * size, : columns * size].reshape(batch, rows, size, columns, size, channels)
    ties = (windows == extremes[:, :, None, :, None]).sum(axis=(2, 4)).astype(jnp.float32)
    return jnp.where(y == spread(extremes), spread(gradient / ties), jnp.float32(0))
