"""The convolution's gradients, as the CPU is given them, against autodiff's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.models.conv_gradients import conv, input_gradient, kernel_gradient


# (side, kernel, stride, padding); the last two leave pixels that no window reaches.
@pytest.mark.parametrize(
    ("side", "kernel", "stride", "padding"), [(8, 7, 1, 3), (6, 3, 1, 1), (5, 1, 1, 0), (10, 3, 3, 0), (9, 4, 2, 0)]
)
@pytest.mark.parametrize("backend", ["cpu", "gpu"])
def test_as_autodiff(monkeypatch, backend, side, kernel, stride, padding):
    monkeypatch.setattr(jax, "default_backend", lambda: backend)
    random = np.random.default_rng(0)
    x = jnp.asarray(random.normal(size=(3, side, side + 1, 2)), jnp.float32)
    weights = jnp.asarray(random.normal(size=(kernel, kernel, 2, 5)), jnp.float32)
    y, pull_back = jax.vjp(lambda x, weights: conv(x, weights, stride, padding), x, weights)
    d_y = jnp.asarray(random.normal(size=y.shape), jnp.float32)
    d_x, d_weights = pull_back(d_y)
    np.testing.assert_allclose(input_gradient(x, weights, d_y, stride, padding), d_x, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kernel_gradient(x, weights, d_y, stride, padding), d_weights, rtol=1e-5, atol=1e-5)
