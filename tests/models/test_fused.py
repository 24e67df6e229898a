"""The fused layer against batch norm, ReLU and max-pool one after the other."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.models.fused import BatchNormReluMaxPool


class Plain(nn.Module):
    size: int

    @nn.compact
    def __call__(self, x, *, train):
        x = nn.BatchNorm(
            use_running_average=not train, momentum=0.99, epsilon=1e-3, use_fast_variance=False, name="bn"
        )(x)
        return nn.max_pool(nn.relu(x), (self.size, self.size), (self.size, self.size))


class Fused(nn.Module):
    size: int

    @nn.compact
    def __call__(self, x, *, train):
        return BatchNormReluMaxPool(self.size, 0.99, name="bn")(x, train=train)


def variables(random, channels):
    draw = lambda *, low, high: jnp.asarray(random.uniform(low, high, channels), jnp.float32)  # noqa: E731
    return {
        "params": {"bn": {"scale": draw(low=-1, high=1), "bias": draw(low=-1, high=1)}},
        "batch_stats": {"bn": {"mean": draw(low=-1, high=1), "var": draw(low=0.5, high=2)}},
    }


@pytest.mark.parametrize(("side", "size"), [(6, 2), (7, 3), (9, 3), (5, 2)])
@pytest.mark.parametrize("train", [True, False])
def test_output_gradients_and_statistics(side, size, train):
    random = np.random.default_rng(side)
    values = variables(random, 5)
    x = jnp.asarray(random.normal(size=(3, side, side, 5)), jnp.float32)
    weight = jnp.asarray(random.normal(size=(3, side // size, side // size, 5)), jnp.float32)

    def objective(module, params, x):
        out, new = module.apply(
            {"params": params, "batch_stats": values["batch_stats"]}, x, train=train, mutable=["batch_stats"]
        )
        return (out * weight).sum(), (out, new)

    results = [
        jax.value_and_grad(lambda p, x, m=module: objective(m, p, x), argnums=(0, 1), has_aux=True)(values["params"], x)
        for module in (Plain(size), Fused(size))
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), *results)


def test_tied_pixels_share_the_gradient_as_the_maximum_does():
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, (2, 4, 4, 3)), jnp.float32)
    values = variables(np.random.default_rng(1), 3)

    def plain(x):
        mean = x.mean(axis=(0, 1, 2), keepdims=True)
        var = ((x - mean) ** 2).mean(axis=(0, 1, 2), keepdims=True)
        scale, bias = (values["params"]["bn"][name].reshape(1, 1, 1, 3) for name in ("scale", "bias"))
        y = nn.relu((x - mean) / jnp.sqrt(var + 1e-3) * scale + bias)
        return (y.reshape(2, 2, 2, 2, 2, 3).max(axis=(2, 4)) ** 2).sum()

    def fused(x):
        return (Fused(2).apply(values, x, train=True, mutable=["batch_stats"])[0] ** 2).sum()

    np.testing.assert_allclose(jax.grad(fused)(x), jax.grad(plain)(x), rtol=1e-4, atol=1e-5)
