from dataclasses import replace
from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.resnet import ResNet, ResNetConfig, max_pool
from mole_jax.errors import UserError

TINY = ResNetConfig(stage_sizes=(2, 1, 1, 1), width=4, classes=5)
IMAGES = np.random.default_rng(0).normal(size=(3, 64, 64, 3)).astype(np.float32)

# Trainable parameters with 1,000 classes, from torchvision's documentation of each model's weights.
TORCHVISION_PARAMETERS = {
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
}


def abstract(config, size=32):
    """Shapes of (output, intermediates) and of the variables; nothing is computed."""
    images = jax.ShapeDtypeStruct((2, size, size, 3), jnp.float32)
    init = partial(ResNet(config).init_with_output, train=False)
    return jax.eval_shape(init, jax.random.key(0), images)


@pytest.fixture(scope="module")
def variables():
    """Drawn by NumPy: XLA compiles Flax's own initialisation for ten seconds."""
    rng = np.random.default_rng(0)
    _, shapes = abstract(TINY)
    variables = jax.tree.map(lambda leaf: rng.normal(0, 0.3, leaf.shape).astype(np.float32), shapes)
    variables["batch_stats"] = jax.tree.map(lambda leaf: np.ones(leaf.shape, np.float32), shapes["batch_stats"])
    return variables


@pytest.mark.parametrize("name", TORCHVISION_PARAMETERS)
def test_parameters_are_those_of_torchvision(name):
    (logits, _), variables = abstract(replace(BACKBONES[name], classes=1000))
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["params"])) == TORCHVISION_PARAMETERS[name]
    assert logits.shape == (2, 1000)


def test_resnet50_without_classifier_returns_its_7x7x2048_features():
    for variant in ("v1", "v1.5"):
        (output, named), variables = abstract(ResNetConfig(variant), size=224)
        assert output.shape == named["features"].shape == (2, 7, 7, 2048)
        shapes = {name: tensor.shape for name, tensor in named.items()}
        assert shapes == {
            "stem": (2, 56, 56, 64),
            "layer1": (2, 56, 56, 256),
            "layer2": (2, 28, 28, 512),
            "layer3": (2, 14, 14, 1024),
            "layer4": (2, 7, 7, 2048),
            "features": (2, 7, 7, 2048),
            "pooled": (2, 2048),
        }
        assert "fc" not in variables["params"]


def test_only_v1_has_biases_before_batch_norm():
    for variant, has_bias in (("v1", True), ("v1.5", False)):
        _, variables = abstract(replace(TINY, variant=variant))
        assert ("bias" in variables["params"]["conv1"]) == has_bias
        assert ("bias" in variables["params"]["layer1_0"]["downsample_conv"]) == has_bias


def test_no_convolution_leaves_its_padding_to_xla():
    seen = []

    def look(call, args, kwargs, context):
        if isinstance(context.module, nn.Conv):
            seen.append((context.module.kernel_size, context.module.padding))
        return call(*args, **kwargs)

    with nn.intercept_methods(look):
        abstract(TINY)
    assert len(seen) == 1 + 5 * 3 + 4
    for (height, width), padding in seen:
        assert padding == ((height // 2, height // 2), (width // 2, width // 2))


def test_inference_does_not_depend_on_the_batch_and_moves_no_statistics(variables):
    apply = jax.jit(partial(ResNet(TINY).apply, train=False, mutable=["batch_stats"]))
    (whole, _), updates = apply(variables, IMAGES)
    (alone, _), _ = apply(variables, IMAGES[:1])
    np.testing.assert_allclose(whole[:1], alone, rtol=1e-5, atol=1e-6)
    jax.tree.map(np.testing.assert_array_equal, updates["batch_stats"], variables["batch_stats"])


def test_training_moves_the_statistics_by_the_momentum(variables):
    apply = jax.jit(partial(ResNet(TINY, bn_momentum=0.8).apply, train=True, mutable=["batch_stats"]))
    _, updates = apply(variables, IMAGES)
    first = jax.lax.conv_general_dilated(
        IMAGES,
        variables["params"]["conv1"]["kernel"],
        window_strides=(2, 2),
        padding=((3, 3), (3, 3)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    mean, var = updates["batch_stats"]["bn1"]["mean"], updates["batch_stats"]["bn1"]["var"]
    np.testing.assert_allclose(mean, 0.8 + 0.2 * first.mean(axis=(0, 1, 2)), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(var, 0.8 + 0.2 * first.var(axis=(0, 1, 2)), rtol=1e-4)


def test_bfloat16_computes_in_half_and_answers_in_full(variables):
    full, _ = jax.jit(partial(ResNet(TINY).apply, train=False))(variables, IMAGES)
    half, named = jax.jit(partial(ResNet(TINY, dtype=jnp.bfloat16).apply, train=False))(variables, IMAGES)
    assert named["features"].dtype == jnp.bfloat16
    assert half.dtype == named["pooled"].dtype == jnp.float32
    np.testing.assert_allclose(half, full, atol=0.05 * np.abs(full).max())


def test_v1_has_no_basic_block():
    with pytest.raises(UserError, match=r"a v1 \(Keras\) ResNet has no basic block: choose a bottleneck one"):
        replace(BACKBONES["resnet18"], variant="v1")


@pytest.mark.parametrize("side", [8, 7])
def test_max_pool_is_flaxs(side):
    x = nn.relu(jnp.asarray(np.random.default_rng(0).normal(size=(2, side, side + 2, 3)), jnp.float32))
    expected = nn.max_pool(x, (3, 3), strides=(2, 2), padding=((1, 1), (1, 1)))
    np.testing.assert_array_equal(max_pool(x), expected)
