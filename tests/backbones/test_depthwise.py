"""Both programs of the depthwise convolution, and their gradients, against lax's grouped convolution and by hand."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.backbones.depthwise import DepthwiseConv, depthwise_conv, grouped, shifted

# Sides even and odd, kernels of EfficientNet, one larger than the image.
CASES = [(8, 3, 2), (9, 3, 2), (8, 5, 2), (9, 5, 2), (3, 5, 1), (7, 4, 3)]


def arrays(side, size, seed=0, dtype=np.float32):
    rng = np.random.default_rng(seed)
    x, kernel = rng.normal(size=(8, side, side + 2, 5)), rng.normal(size=(size, size, 1, 5))
    return jnp.asarray(x, dtype), jnp.asarray(kernel, dtype)


@pytest.mark.parametrize(("side", "size", "stride"), CASES)
def test_values_and_gradients_are_those_of_the_grouped_convolution(side, size, stride):
    x, kernel = arrays(side, size)

    @partial(jax.jit, static_argnums=0)
    def both(convolve, x, kernel, seed):
        y, pull = jax.vjp(lambda *a: convolve(*a, stride), x, kernel)
        return y, pull(jnp.cos(seed + jnp.arange(y.size, dtype=jnp.float32)).reshape(y.shape))

    results = [both(convolve, x, kernel, 3.0) for convolve in (shifted, grouped)]
    jax.tree.map(lambda ours, theirs: np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5), *results)


def test_by_hand():
    x = jnp.arange(1.0, 17.0).reshape(1, 4, 4, 1)
    kernel = jnp.asarray([[0, 0, 0], [0, 1, 0], [0, 0, 10]], jnp.float32).reshape(3, 3, 1, 1)
    # Of four pixels at stride 2, "SAME" pads one, at the far side: the kernel begins on the image's first pixel.
    assert shifted(x, kernel, 2)[0, :, :, 0].tolist() == [[6 + 110, 8], [14, 16]]
    assert shifted(x, kernel, 1)[0, 0, :, 0].tolist() == [1 + 60, 2 + 70, 3 + 80, 4]


def test_one_cpu_runs_the_shifted_program_and_all_else_the_grouped_one(monkeypatch):
    x, kernel = arrays(8, 3)

    def program():
        return str(jax.make_jaxpr(lambda x, kernel: depthwise_conv(x, kernel, 1))(x, kernel))

    assert "conv_general_dilated" not in program()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general_dilated" in program()


def test_half_precision_sums_in_full():
    x, kernel = arrays(8, 5, dtype=jnp.bfloat16)
    exact = shifted(x.astype(jnp.float32), kernel.astype(jnp.float32), 1)
    assert shifted(x, kernel, 1).dtype == jnp.bfloat16
    np.testing.assert_array_equal(shifted(x, kernel, 1), exact.astype(jnp.bfloat16))


def test_the_layer_has_nn_convs_variables():
    variables = DepthwiseConv(3, 2, jnp.float32).init(jax.random.key(0), jnp.zeros((1, 8, 8, 6)))
    assert jax.tree.map(jnp.shape, variables) == {"params": {"kernel": (3, 3, 1, 6)}}
