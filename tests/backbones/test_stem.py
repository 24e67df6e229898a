"""The first convolution's two programs against each other."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.backbones.stem import StemConv, products


@pytest.mark.parametrize(("side", "size", "stride"), [(8, 3, 2), (9, 3, 2), (9, 5, 2), (3, 5, 1), (7, 4, 3)])
def test_a_product_of_matrices_is_laxs_convolution(side, size, stride):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(8, side, side + 2, 5)), jnp.float32)
    kernel = jnp.asarray(rng.normal(size=(size, size, 5, 3)), jnp.float32)

    def lax(x, kernel):
        return jax.lax.conv_general_dilated(
            x, kernel, (stride, stride), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    np.testing.assert_allclose(products(x, kernel, stride), lax(x, kernel), rtol=1e-4, atol=1e-4)


def test_the_layer_on_a_cpu_gives_what_it_gives_on_an_accelerator(monkeypatch):
    layer = StemConv(8, jnp.float32)
    images = jnp.asarray(np.random.default_rng(0).normal(size=(2, 9, 8, 3)), jnp.float32)
    variables = layer.init(jax.random.key(0), images)
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": (3, 3, 3, 8)}}
    slope = jnp.arange(1.0, 9.0)

    def program():
        return str(jax.make_jaxpr(layer.apply)(variables, images, slope))

    assert "conv_general_dilated" not in program()
    here = layer.apply(variables, images, slope)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general_dilated" in program()
    np.testing.assert_allclose(here, layer.apply(variables, images, slope), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(here, layer.apply(variables, images) * slope[None, None, None], rtol=1e-5, atol=1e-5)
