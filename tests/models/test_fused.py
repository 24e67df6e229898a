"""The fused layer against convolution, batch norm, ReLU and max-pool one after the other."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.models import cnn
from mole_jax.models.fused import FEW, BatchNormReluMaxPool, Deferred, Geometry, channel_sums
from mole_jax.models.layers import ConvVariables

CHANNELS = 5


class Plain(nn.Module):
    kernel: int
    geometry: Geometry

    @nn.compact
    def __call__(self, x, *, train):
        stride, padding, pool = self.geometry
        x = nn.Conv(CHANNELS, (self.kernel, self.kernel), stride, padding, name="conv")(x)
        x = nn.BatchNorm(
            use_running_average=not train, momentum=0.99, epsilon=1e-3, use_fast_variance=False, name="bn"
        )(x)
        return nn.max_pool(nn.relu(x), (pool, pool), (pool, pool))


class Fused(nn.Module):
    kernel: int
    geometry: Geometry

    @nn.compact
    def __call__(self, x, *, train):
        kernel, offset = ConvVariables(CHANNELS, self.kernel, name="conv")(x.shape[-1])
        layer = BatchNormReluMaxPool(self.geometry, 0.99, name="bn")
        return layer(Deferred(x, None), kernel, offset, train=train).apply()


def variables(random, kernel=1, channels_in=CHANNELS):
    draw = lambda *, low, high: jnp.asarray(random.uniform(low, high, CHANNELS), jnp.float32)  # noqa: E731
    weights = jnp.asarray(random.normal(size=(kernel, kernel, channels_in, CHANNELS)), jnp.float32)
    return {
        "params": {
            "conv": {"kernel": weights, "bias": draw(low=-1, high=1)},
            "bn": {"scale": draw(low=-1, high=1), "bias": draw(low=-1, high=1)},
        },
        "batch_stats": {"bn": {"mean": draw(low=-1, high=1), "var": draw(low=0.5, high=2)}},
    }


# (batch, side, kernel, geometry): one chunk and several, also of sizes that 8 does not divide; windows and strides
# that leave a remainder.
CASES = [
    (3, 6, 3, Geometry(1, 1, 2)),
    (16, 7, 1, Geometry(1, 0, 3)),
    (10, 11, 5, Geometry(1, 2, 3)),
    (16, 9, 3, Geometry(3, 0, 2)),
    (11, 14, 3, Geometry(3, 0, 3)),
]


@pytest.mark.parametrize(("batch", "side", "kernel", "geometry"), CASES)
@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize(("backend", "channels_in"), [("cpu", FEW), ("cpu", FEW + 1), ("gpu", FEW)])
def test_output_gradients_and_statistics(monkeypatch, backend, channels_in, train, batch, side, kernel, geometry):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    random = np.random.default_rng(side)
    values = variables(random, kernel, channels_in)
    x = jnp.asarray(random.normal(size=(batch, side, side, channels_in)), jnp.float32)
    shape = jax.eval_shape(lambda: Plain(kernel, geometry).apply(values, x, train=False)).shape
    weight = jnp.asarray(random.normal(size=shape), jnp.float32)

    def objective(module, params, x):
        out, new = module.apply(
            {"params": params, "batch_stats": values["batch_stats"]}, x, train=train, mutable=["batch_stats"]
        )
        return (out * weight).mean(), (out, new)

    results = [
        jax.value_and_grad(lambda p, x, m=module: objective(m, p, x), argnums=(0, 1), has_aux=True)(values["params"], x)
        for module in (Plain(kernel, geometry), Fused(kernel, geometry))
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=2e-5, atol=2e-5), *results)


def test_tied_pixels_share_the_gradient_as_the_maximum_does():
    x = jnp.asarray(np.random.default_rng(0).integers(0, 3, (2, 4, 4, CHANNELS)), jnp.float32)
    values = variables(np.random.default_rng(1))
    values["params"]["conv"]["kernel"] = jnp.eye(CHANNELS).reshape(1, 1, CHANNELS, CHANNELS)

    def plain(x):
        mean = x.mean(axis=(0, 1, 2), keepdims=True)
        var = ((x - mean) ** 2).mean(axis=(0, 1, 2), keepdims=True)
        scale, bias = (values["params"]["bn"][name].reshape(1, 1, 1, -1) for name in ("scale", "bias"))
        y = nn.relu((x - mean) / jnp.sqrt(var + 1e-3) * scale + bias)
        return (y.reshape(2, 2, 2, 2, 2, CHANNELS).max(axis=(2, 4)) ** 2).sum()

    def fused(x):
        return (Fused(1, Geometry(1, 0, 2)).apply(values, x, train=True, mutable=["batch_stats"])[0] ** 2).sum()

    np.testing.assert_allclose(jax.grad(fused)(x), jax.grad(plain)(x), rtol=1e-4, atol=1e-5)


def test_bfloat16_keeps_its_statistics_and_kernel_gradients_in_float32():
    """A kernel's gradient adds up over the chunks: in bfloat16 it would stop growing."""
    values, geometry = variables(np.random.default_rng(0), 3, 4), Geometry(1, 1, 2)
    x = jnp.asarray(np.random.default_rng(1).normal(size=(32, 8, 8, 4)), jnp.float32)

    def gradient(dtype):
        def objective(kernel):
            weights, offset = kernel.astype(dtype), values["params"]["conv"]["bias"]
            layer = BatchNormReluMaxPool(geometry, 0.99)
            own = {"params": values["params"]["bn"], "batch_stats": values["batch_stats"]["bn"]}
            images = Deferred(x.astype(dtype), None)
            deferred, _ = layer.apply(own, images, weights, offset, train=True, mutable=["batch_stats"])
            out = deferred.apply()
            assert out.dtype == dtype
            return (out.astype(jnp.float32) ** 2).mean()

        return jax.grad(objective)(values["params"]["conv"]["kernel"])

    exact, rounded = gradient(jnp.float32), gradient(jnp.bfloat16)
    assert float(jnp.abs(exact - rounded).max() / jnp.abs(exact).max()) < 0.05


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (1, 37, 1, 3), (8, 64, 64, 2)])
def test_channel_sums(shape):
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    sums, squares = channel_sums(jnp.asarray(x), jnp.asarray(x * x))
    np.testing.assert_allclose(sums, x.sum(axis=(0, 1, 2), dtype=np.float64), rtol=1e-5, atol=1e-4)
    np.testing.assert_allclose(squares, (x.astype(np.float64) ** 2).sum(axis=(0, 1, 2)), rtol=1e-5)


# (channels, kernel, geometry): the second layer keeps its convolution's output, the third computes it again, and both
# have the batch norm and ReLU of the layer before still to apply.
ROW = [(FEW + 1, 5, Geometry(1, 2, 2)), (3, 3, Geometry(1, 1, 2)), (4, 1, Geometry(1, 0, 2))]


class PlainRow(nn.Module):
    @nn.compact
    def __call__(self, x):
        for i, (channels, kernel, (stride, padding, pool)) in enumerate(ROW):
            x = nn.Conv(channels, (kernel, kernel), stride, padding, name=f"conv{i}")(x)
            bn = nn.BatchNorm(False, momentum=0.99, epsilon=1e-3, use_fast_variance=False, name=f"bn{i}")
            x = nn.max_pool(nn.relu(bn(x)), (pool, pool), (pool, pool))
        return x


class FusedRow(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = Deferred(x, None)
        for i, (channels, kernel, geometry) in enumerate(ROW):
            weights, offset = ConvVariables(channels, kernel, name=f"conv{i}")(x.pixels.shape[-1])
            x = BatchNormReluMaxPool(geometry, 0.99, name=f"bn{i}")(x, weights, offset, train=True)
        return x.apply()


@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_layers_in_a_row(monkeypatch, backend):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(12, 24, 24, 2)), jnp.float32)
    values = PlainRow().init(jax.random.key(0), x)
    values["params"] = jax.tree.map(
        lambda p: p + jnp.asarray(random.normal(size=p.shape), jnp.float32), values["params"]
    )
    weight = jnp.asarray(random.normal(size=(12, 3, 3, 4)), jnp.float32)

    def objective(module, params, x):
        out, new = module.apply({**values, "params": params}, x, mutable=["batch_stats"])
        return (out * weight).sum(), (out, new)

    results = [
        jax.value_and_grad(lambda p, x, m=module: objective(m, p, x), argnums=(0, 1), has_aux=True)(values["params"], x)
        for module in (PlainRow(), FusedRow())
    ]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-4), *results)


@pytest.mark.parametrize("train", [False, True])
def test_the_fused_network_has_the_variables_and_numbers_of_the_readable_one(train):
    blocks = ((4, 3, 1, 1, 2), (5, 3, 2, 0, 2))
    plain, fast = (cnn.model(blocks=blocks, bn_momentum=0.9, fused=fused) for fused in (False, True))
    variables = plain.init(jax.random.key(0), input_shape=(1, 24, 24, 3))
    others = fast.init(jax.random.key(0), input_shape=(1, 24, 24, 3))
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, others)
    images = jax.random.normal(jax.random.key(1), (6, 24, 24, 3))
    ours, theirs = (model.apply(variables, images, train=train) for model in (fast, plain))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5), ours, theirs)
