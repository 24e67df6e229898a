"""DenseNet-121 against Keras' own, what it keeps for its gradient, and what its weights are called."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save_file

from mole_jax.backbones import BACKBONES, densenet
from mole_jax.backbones.densenet import DenseNetConfig
from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.match import flat_shapes
from mole_jax.backbones.norm import Affine
from mole_jax.backbones.weights import count_parameters
from tests.backbones.conftest import with_random_numbers

# Keras' own variables, on their way into a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def keras_model(lenient):
    import keras

    return with_random_numbers(keras.applications.DenseNet121, input_shape=(64, 64, 3))


def test_every_level_is_that_of_keras(keras_model, tmp_path):
    import keras

    images = np.random.default_rng(1).normal(0, 1, (2, 64, 64, 3)).astype(np.float32)
    outputs = {
        "stem": "pool1", "block1": "conv2_block6_concat", "block2": "conv3_block12_concat",
        "block3": "conv4_block24_concat", "block4": "conv5_block16_concat", "features": "relu", "pooled": "avg_pool",
        "logits": "predictions",
    }  # fmt: skip
    tap = keras.Model(keras_model.input, {key: keras_model.get_layer(name).output for key, name in outputs.items()})
    forward = jax.jit(lambda x: tap.stateless_call(tap.trainable_variables, tap.non_trainable_variables, x)[0])
    expected = jax.device_get(forward(images))
    keras_model.save_weights(tmp_path / "densenet121.weights.h5")
    loaded = load_pretrained(str(tmp_path / "densenet121.weights.h5"), architecture=BACKBONES["densenet121"])
    assert (loaded.variant, loaded.preprocessing, loaded.config.classes) == ("keras", "torchvision", 1000)
    assert count_parameters(loaded.variables) == keras_model.count_params() == 8_062_504
    logits, named = jax.jit(lambda v, x: loaded.config.network().apply(v, x, train=False))(loaded.variables, images)
    assert loaded.config.levels == tuple(outputs)[:6]
    for key, value in expected.items():
        difference = np.abs({**named, "logits": logits}[key] - value).max()
        assert difference < 1e-4 * np.abs(value).max(), key


TINY = DenseNetConfig(block_sizes=(2, 3), growth=4, width=6, classes=3)


@pytest.fixture
def weights():
    rng = np.random.default_rng(0)
    return {name: rng.uniform(0.5, 1, leaf.shape).astype(np.float32) for name, leaf in flat_shapes(TINY).items()}


NAMES = """
features.conv0 conv0
features.norm0 bn0
features.denseblock1.denselayer1.norm1 block1_0/bn1
features.denseblock1.denselayer1.conv1 block1_0/conv1
features.denseblock1.denselayer1.norm2 block1_0/bn2
features.denseblock1.denselayer1.conv2 block1_0/conv2
features.denseblock1.denselayer2.norm1 block1_1/bn1
features.denseblock1.denselayer2.conv1 block1_1/conv1
features.denseblock1.denselayer2.norm2 block1_1/bn2
features.denseblock1.denselayer2.conv2 block1_1/conv2
features.transition1.norm transition1/bn
features.transition1.conv transition1/conv
features.denseblock2.denselayer1.norm1 block2_0/bn1
features.denseblock2.denselayer1.conv1 block2_0/conv1
features.denseblock2.denselayer1.norm2 block2_0/bn2
features.denseblock2.denselayer1.conv2 block2_0/conv2
features.denseblock2.denselayer2.norm1 block2_1/bn1
features.denseblock2.denselayer2.conv1 block2_1/conv1
features.denseblock2.denselayer2.norm2 block2_1/bn2
features.denseblock2.denselayer2.conv2 block2_1/conv2
features.denseblock2.denselayer3.norm1 block2_2/bn1
features.denseblock2.denselayer3.conv1 block2_2/conv1
features.denseblock2.denselayer3.norm2 block2_2/bn2
features.denseblock2.denselayer3.conv2 block2_2/conv2
features.norm5 last_bn
classifier fc
"""
FIELDS = {"kernel": "weight", "scale": "weight", "bias": "bias", "mean": "running_mean", "var": "running_var"}


@pytest.mark.parametrize("old", [False, True])
@pytest.mark.parametrize("prefix", ["", "backbone."])
def test_torchvisions_names(tmp_path, weights, old, prefix):
    torchvisions = {ours: theirs for theirs, ours in (line.split() for line in NAMES.split("\n") if line)}
    state = {}
    for name, array in weights.items():
        module, _, leaf = name.partition("/")[2].rpartition("/")
        own = torchvisions[module]
        if old and "denselayer" in own:  # as torchvision's files have it, whose code has renamed them since
            own = f"{own[:-1]}.{own[-1]}"
        array = array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T
        state[f"{prefix}{own}.{FIELDS[leaf]}"] = np.ascontiguousarray(array)
    save_file(state, tmp_path / "a.safetensors")
    loaded = load_pretrained(str(tmp_path / "a.safetensors"), architecture=TINY)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, unflatten_dict(weights, sep="/"))
    assert (loaded.variant, loaded.preprocessing) == ("torchvision", "torchvision")


def test_what_is_kept_for_the_gradient_grows_with_the_layers_and_not_with_their_square(monkeypatch):
    images = jax.ShapeDtypeStruct((4, 64, 64, 3), jnp.float32)

    def kept(layers):
        """Numbers that the backward pass of a block takes from its forward pass; nothing is computed."""
        config = DenseNetConfig(block_sizes=(layers,), growth=8, width=8)
        variables = unflatten_dict(flat_shapes(config), sep="/")

        def pull(params, stats, images):
            def output(params):
                return config.network().apply({"params": params, "batch_stats": stats}, images, train=False)[0]

            return jax.vjp(output, params)[1]

        shapes = jax.eval_shape(pull, variables["params"], variables["batch_stats"], images)
        return sum(leaf.size for leaf in jax.tree.leaves(shapes))

    few, many = kept(8), kept(16)
    assert many < 2.2 * few
    monkeypatch.setattr(densenet, "_gathered", densenet._gather)
    assert kept(16) > 2.5 * kept(8)
    assert many < 0.5 * kept(16)


@pytest.mark.parametrize("batch", [3, 8])
def test_the_gradient_of_gathered_parts_is_that_of_autodiff(batch):
    rng = np.random.default_rng(0)
    draw = lambda *shape: jnp.asarray(rng.normal(size=shape), jnp.float32)  # noqa: E731
    parts, kernel = (draw(batch, 3, 4, 2), draw(batch, 3, 4, 5)), draw(7, 6)
    affine, d_y = Affine(draw(7), draw(7), draw(7)), draw(batch, 3, 4, 6)

    @partial(jax.jit, static_argnums=0)
    def both(function, *arguments):
        y, pull = jax.vjp(function, *arguments)
        return y, pull(d_y)

    results = [both(function, parts, affine, kernel) for function in (densenet._gathered, densenet._gather)]
    jax.tree.map(lambda ours, plain: np.testing.assert_allclose(ours, plain, rtol=1e-4, atol=1e-4), *results)


def test_layers_are_the_networks_own():
    config = BACKBONES["densenet121"]
    params = unflatten_dict(flat_shapes(config), sep="/")["params"]
    modules = {name.rpartition("/")[0] for name in flatten_dict(params, sep="/")}
    assert set(config.layers) == modules
    assert len(config.layers) == 2 * (1 + 2 * 58 + 3) + 1
