"""Inference a few images at a time gives what the whole batch gives."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax import chunks
from mole_jax.models import cnn


def lax_map(function, batch, *, most):
    return jax.lax.map(function, batch.reshape(-1, most, *batch.shape[1:]))


@pytest.mark.parametrize(("batch", "sizes"), [(1, {1}), (4, {4}), (7, {1}), (8, {4}), (15, {3})])
def test_any_batch_size(batch, sizes):
    images = jnp.asarray(np.random.default_rng(0).normal(size=(batch, 3, 2, 1)), jnp.float32)
    seen = set()

    def function(x):
        seen.add(x.shape[0])
        return {"sums": x.sum(axis=(1, 2)), "images": 2 * x}

    whole = function(images)
    seen.clear()
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6), whole, chunks.in_chunks(function, images))
    assert seen == sizes


def test_an_accelerator_is_given_the_whole_batch(monkeypatch):
    shapes = []

    def function(x):
        shapes.append(x.shape)
        return x

    chunks.in_chunks(function, jnp.zeros((8, 2, 2, 1)))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    chunks.in_chunks(function, jnp.zeros((8, 2, 2, 1)))
    assert shapes == [(chunks.CHUNK, 2, 2, 1), (8, 2, 2, 1)]


def test_the_networks_logits_do_not_change(monkeypatch):
    model = cnn.model(blocks=cnn.BLOCKS[:2])
    images = jnp.asarray(np.random.default_rng(0).normal(size=(6, 16, 16, 3)), jnp.float32)
    variables = model.init(jax.random.key(0), input_shape=images.shape)
    parts = model.apply(variables, images, train=False)[0]
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    np.testing.assert_allclose(parts, model.apply(variables, images, train=False)[0], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("mapped", "arrays"), [(chunks.by_chunk, 2), (lax_map, 3)])
def test_loops_in_a_row_hold_no_array_of_zeros_between_them(mapped, arrays):
    """At most what a loop reads and what it fills in; with `lax.map` zeros too, or this workaround is not needed."""

    def thrice(x):
        for function in (jnp.sin, jnp.cos, jnp.tan):
            x = mapped(function, x, most=4).reshape(x.shape)
        return x.sum()

    images = jnp.ones((64, 32, 32, 8))
    memory = jax.jit(thrice).lower(images).compile().memory_analysis()
    assert round(memory.temp_size_in_bytes / images.nbytes, 1) == arrays
