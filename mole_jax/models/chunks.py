"""Inference a few images at a time, where that is faster."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Images. Their activations stay in a CPU's caches and in memory that the process keeps; those of a whole batch are
# written to fresh pages and read back from them. Two and eight are within 4 % of it (RESULTS.md, "Speed").
CHUNK = 4


def in_chunks(function: Callable[[Array], Any], images: Float[Array, "batch height width channels"]) -> Any:
    """Gives `function(images)`, on a CPU CHUNK images after another; an accelerator is given the whole batch.

    Args:
        function: treats each image alone, as networks do that normalise by moving statistics; from images to a pytree
            of arrays [batch, ...].
        images: a batch.
    """
    if jax.default_backend() != "cpu" or images.shape[0] <= CHUNK:
        return function(images)
    return map_chunks(function, images, CHUNK)


def map_chunks(function: Callable[[Array], Any], images: Float[Array, "batch height width channels"], size: int) -> Any:
    """`function(images)`, computed on `size` images after another; the last of them are made up with zeros."""
    batch = images.shape[0]
    chunks = -(-batch // size)
    padded = jnp.pad(images, ((0, chunks * size - batch), (0, 0), (0, 0), (0, 0)))
    results = jax.lax.map(function, padded.reshape(chunks, size, *images.shape[1:]))
    return jax.tree.map(lambda r: r.reshape(chunks * size, *r.shape[2:])[:batch], results)
