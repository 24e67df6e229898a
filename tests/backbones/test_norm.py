"""Batch norm and activation in one step, against Flax's own layers and autodiff."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.backbones.norm import NONE, RELU, RELU6, BatchNorm, MovingNorm, bounded
from mole_jax.chunks import channel_sum

ACTIVATIONS = {NONE: lambda x: x, RELU: nn.relu, RELU6: nn.relu6}
X = jnp.asarray(np.random.default_rng(0).normal(1, 4, (3, 5, 4, 6)), jnp.float32)


def variables():
    rng = np.random.default_rng(1)
    draw = lambda low, high: jnp.asarray(rng.uniform(low, high, 6), jnp.float32)  # noqa: E731
    return {
        "params": {"scale": draw(-1, 2), "bias": draw(-1, 3)},
        "batch_stats": {"mean": draw(-1, 1), "var": draw(0.5, 9)},
    }


@pytest.mark.parametrize("bounds", ACTIVATIONS, ids=str)
@pytest.mark.parametrize("train", [False, True])
def test_values_statistics_and_gradients_are_flaxs(bounds, train):
    given = variables()
    weights = jnp.asarray(np.random.default_rng(2).normal(size=X.shape), jnp.float32)
    ours = BatchNorm(bounds, 0.9, 1e-3)
    flax = nn.BatchNorm(momentum=0.9, epsilon=1e-3, use_fast_variance=False)

    def of_ours(x, params):
        variables = {"params": params, "batch_stats": given["batch_stats"]}
        y, updated = ours.apply(variables, x, train=train, mutable=["batch_stats"])
        return (y * weights).sum(), (y, updated)

    def of_flax(x, params):
        variables = {"params": params, "batch_stats": given["batch_stats"]}
        y, updated = flax.apply(variables, x, use_running_average=not train, mutable=["batch_stats"])
        y = ACTIVATIONS[bounds](y)
        return (y * weights).sum(), (y, updated)

    results = [jax.value_and_grad(f, (0, 1), has_aux=True)(X, given["params"]) for f in (of_ours, of_flax)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *results)


def test_half_precision_is_normalised_in_full():
    half = X.astype(jnp.bfloat16)
    y = BatchNorm(NONE, 0.9, 1e-3).apply(variables(), half, train=False)
    full = BatchNorm(NONE, 0.9, 1e-3).apply(variables(), half.astype(jnp.float32), train=False)
    assert y.dtype == jnp.bfloat16
    np.testing.assert_array_equal(y, full.astype(jnp.bfloat16))


@pytest.mark.parametrize("bounds", ACTIVATIONS, ids=str)
def test_a_factor_before_and_an_offset_after_are_flaxs_moving_statistics(bounds):
    given = variables()
    weights = jnp.asarray(np.random.default_rng(2).normal(size=X.shape), jnp.float32)
    flax = nn.BatchNorm(use_running_average=True, epsilon=1e-3)

    def of_ours(x, params):
        slope, offset = MovingNorm(1e-3).apply({"params": params, "batch_stats": given["batch_stats"]}, 6)
        y = bounded(x * slope[None, None, None], offset, bounds)
        return (y * weights).sum(), y

    def of_flax(x, params):
        y = ACTIVATIONS[bounds](flax.apply({"params": params, "batch_stats": given["batch_stats"]}, x))
        return (y * weights).sum(), y

    results = [jax.value_and_grad(f, (0, 1), has_aux=True)(X, given["params"]) for f in (of_ours, of_flax)]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *results)


def test_both_forms_have_the_same_variables():
    of_moving = MovingNorm(1e-3).init(jax.random.key(0), 6)
    of_batch = BatchNorm(NONE, 0.9, 1e-3).init(jax.random.key(0), X, train=False)
    jax.tree.map(np.testing.assert_array_equal, of_moving, of_batch)


def test_a_sum_over_many_pixels_keeps_its_digits():
    """As a product with ones, in single precision: of 200,000 numbers, all positive, five digits (NumPy: the same)."""
    x = np.random.default_rng(0).uniform(0, 6, (8, 160, 160, 3)).astype(np.float32)
    np.testing.assert_allclose(channel_sum(jnp.asarray(x)), x.sum(axis=(0, 1, 2), dtype=np.float64), rtol=2e-5)
