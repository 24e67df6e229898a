"""Work on a few images, or numbers, at a time, where that is faster."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Images. Their activations stay in a CPU's caches and in memory that the process keeps; those of a whole batch are
# written to fresh pages and read back from them. Two and eight are within 4 % of it (RESULTS.md, "How fast is it?").
CHUNK = 4
TRAINING_CHUNK = 2  # likewise, where the backward pass goes by chunks; 4, 8 and 16 are slower (RESULTS.md)


def on_cpu() -> bool:
    """Whether JAX runs on one CPU: the one place to ask before a choice that would cost on an accelerator.

    Not on a mesh of several devices that a CPU pretends to have: it runs the program that accelerators would, since a
    loop over a batch's chunks would give each chunk to all of them, one after the other.
    """
    return jax.default_backend() == "cpu" and jax.sharding.get_abstract_mesh().size <= 1


def in_chunks(function: Callable[[Any], Any], batch: Any, *, most: int = CHUNK) -> Any:
    """Gives `function(batch)`, on a CPU computed on a few images after another.

    Args:
        function: treats each image alone, as networks do that normalise by moving statistics; from and to a pytree of
            arrays [batch, ...].
        batch: a pytree of arrays [batch, ...], such as images.
        most: images a chunk.
    """
    return _joined(by_chunk(function, batch, most=most))


def in_training_chunks(function: Callable[[Any], Any], batch: Any) -> Any:
    """As `in_chunks`, and differentiable: the backward pass goes by chunks, too, and computes each again, which is less
    work than to write and read all that it needs of a batch.

    For functions without `lax`'s convolution: in a loop XLA's CPU compiler is 25 times as slow with its gradient.

    Args:
        function: treats each image alone; from and to a pytree of arrays [batch, ...].
        batch: a pytree of arrays [batch, ...], such as images.
    """
    count = jax.tree.leaves(batch)[0].shape[0]
    size = _chunk_size(count, TRAINING_CHUNK)
    if size == count:
        return function(batch)
    return _joined(jax.lax.map(jax.checkpoint(function), _parted(batch, size)))


def by_chunk(function: Callable[[Any], Any], batch: Any, *, most: int = CHUNK) -> Any:
    """What `function` gives for each chunk: a pytree of arrays [chunks, ...].

    On a CPU a chunk has as many images as divide the batch, `most` at the most; an accelerator is given one chunk.

    Args:
        function: from a pytree of arrays [images, ...] to one of any arrays.
        batch: a pytree of arrays [batch, ...].
        most: images a chunk.
    """
    count = jax.tree.leaves(batch)[0].shape[0]
    size = _chunk_size(count, most)
    if size == count:
        return jax.tree.map(lambda r: r[None], function(batch))
    chunks = _parted(batch, size)
    # What the loop fills in begins as a number of the batch's last array, which in a backward pass is the gradient. Of
    # loops that begin with zeros, as `lax.map` does, XLA makes one array, keeps it for the whole step and copies it.
    start = jax.tree.leaves(batch)[-1].reshape(-1)[0]
    once = jax.jit(function)  # so that it is traced once, below and in the loop
    results = jax.tree.map(
        lambda shape: jnp.full((count // size, *shape.shape), start.astype(shape.dtype)),
        jax.eval_shape(once, jax.tree.map(lambda x: x[0], chunks)),
    )

    def fill_in(i: jax.Array, results: Any) -> Any:
        done = once(jax.tree.map(lambda x: jax.lax.dynamic_index_in_dim(x, i, keepdims=False), chunks))
        return jax.tree.map(lambda r, d: jax.lax.dynamic_update_index_in_dim(r, d, i, 0), results, done)

    return jax.lax.fori_loop(0, count // size, fill_in, results)


def _chunk_size(count: int, most: int) -> int:
    return max(d for d in range(1, most + 1) if count % d == 0) if on_cpu() else count


def _parted(batch: Any, size: int) -> Any:
    return jax.tree.map(lambda x: x.reshape(len(x) // size, size, *x.shape[1:]), batch)


def _joined(chunks: Any) -> Any:
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[2:]), chunks)


def channel_sum(array: Float[Array, "batch height width channels"]) -> Float[Array, " channels"]:
    """The sum over all but the channels of an array that is needed for itself, too."""
    if not on_cpu():
        return array.sum(axis=(0, 1, 2))
    # As a product with ones, which XLA's CPU compiler does at the speed of memory.
    rows = array.reshape(-1, array.shape[-1])
    return jnp.ones((len(rows),), array.dtype) @ rows


def channel_sums(*arrays: Float[Array, "batch height width channels"]) -> tuple[Float[Array, " channels"], ...]:
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
    """Sums over the middle axis, as one reduction of several operands, which becomes one loop."""

    def add(a: tuple[Array, ...], b: tuple[Array, ...]) -> tuple[Array, ...]:
        return tuple(x + y for x, y in zip(a, b, strict=True))

    return tuple(jax.lax.reduce(arrays, tuple(jnp.zeros((), a.dtype) for a in arrays), add, (1,)))
