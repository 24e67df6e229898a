"""Batch norm and activation in one step, against Flax's own layers and autodiff."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.backbones.norm import NONE, RELU, RELU6, BatchNorm

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
