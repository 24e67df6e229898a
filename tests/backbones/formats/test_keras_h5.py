"""Against Keras itself: its own ResNet50 with random weights, saved by its own writers."""

from functools import partial

import h5py
import jax
import numpy as np
import pytest

from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.match import WeightsMismatchError
from mole_jax.backbones.resnet import ResNet, ResNetConfig
from mole_jax.backbones.weights import count_parameters
from mole_jax.errors import UserError

# Keras' own variables, on their way into a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def lenient():
    """Keras mixes types and ranks, which the tests' strictness forbids."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


@pytest.fixture(scope="module")
def keras_model(lenient):
    import keras

    keras.utils.set_random_seed(0)
    model = keras.applications.ResNet50(weights=None, input_shape=(64, 64, 3), classifier_activation=None)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            gamma, beta, mean = rng.uniform(0.5, 1, size), rng.normal(0, 0.2, size), rng.normal(0, 0.2, size)
            layer.set_weights([gamma, beta, mean, rng.uniform(0.5, 2, size)])
        elif layer.weights:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])  # biases start at zero and would hide errors
    return model


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).normal(0, 60, (2, 64, 64, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def reference(keras_model, images):
    """Keras' named outputs."""
    import keras

    outputs = {
        "stem": "pool1_pool", "layer1": "conv2_block3_out", "layer2": "conv3_block4_out", "layer3": "conv4_block6_out",
        "features": "conv5_block3_out", "pooled": "avg_pool", "logits": "predictions",
    }  # fmt: skip
    tap = keras.Model(keras_model.input, {ours: keras_model.get_layer(name).output for ours, name in outputs.items()})
    forward = jax.jit(lambda x: tap.stateless_call(tap.trainable_variables, tap.non_trainable_variables, x)[0])
    return jax.device_get(forward(images))


@pytest.fixture(scope="module")
def forward():
    """Compiled once: all files hold the same network."""
    return jax.jit(partial(ResNet(ResNetConfig("v1", classes=1000)).apply, train=False))


def save_legacy(model, path):
    from keras.src.legacy.saving import legacy_h5_format

    with h5py.File(path, "w") as file:
        legacy_h5_format.save_weights_to_hdf5_group(file, model)


WRITERS = {
    "legacy weights": (save_legacy, "resnet50.h5", "Keras legacy .h5"),
    "legacy model": (lambda model, path: model.save(path), "model.h5", "Keras legacy .h5"),
    "keras 3": (lambda model, path: model.save_weights(path), "resnet50.weights.h5", "Keras 3 .weights.h5"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_features_and_logits_are_those_of_keras(keras_model, images, reference, forward, tmp_path, writer):
    write, name, form = WRITERS[writer]
    write(keras_model, tmp_path / name)
    loaded = load_pretrained(str(tmp_path / name))
    assert (loaded.variant, loaded.preprocessing, loaded.provenance.format) == ("v1", "keras", form)
    assert count_parameters(loaded.variables) == keras_model.count_params() == 25_636_712
    logits, named = forward(loaded.variables, images)
    for key, expected in reference.items():
        difference = np.abs({**named, "logits": logits}[key] - expected).max()
        assert difference < 1e-4 * np.abs(expected).max(), key


def test_the_official_layout_of_tensorflow_1(tmp_path, tiny, weights, write_keras):
    """Names end in ":0" and the classifier is called "probs", as in the files that Keras downloads."""
    loaded = load_pretrained(str(write_keras(tmp_path / "a.h5", weights("v1"))), architecture=tiny)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, weights("v1"))


def test_without_a_classifier(tmp_path, tiny, weights, write_keras):
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        file.attrs["layer_names"] = [name for name in file.attrs["layer_names"] if name != b"probs"]
    loaded = load_pretrained(str(path), architecture=tiny)
    assert loaded.config.classes is None
    assert "fc" not in loaded.variables["params"]


def test_names_split_over_several_attributes(tmp_path, tiny, weights, write_keras):
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        names = file.attrs.pop("layer_names")
        file.attrs["layer_names0"], file.attrs["layer_names1"] = names[:10], names[10:]
    loaded = load_pretrained(str(path), architecture=tiny)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, weights("v1"))


def test_the_old_names_of_2016_are_refused(tmp_path, tiny, weights, write_keras):
    """That file (res2a_branch2a) has the same name as today's but wants batch norm's epsilon at 1e-3."""
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        file.move("conv2_block1_1_conv", "res2a_branch2a")
        old = [b"res2a_branch2a" if name == b"conv2_block1_1_conv" else name for name in file.attrs["layer_names"]]
        file.attrs["layer_names"] = old
    with pytest.raises(WeightsMismatchError) as caught:
        load_pretrained(str(path), architecture=tiny)
    assert caught.value.only_in_file == ["res2a_branch2a[0]", "res2a_branch2a[1]"]


def test_a_keras_3_file_without_layer_names(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros(3, np.float32)
    with pytest.raises(UserError, match=r"holds 'conv2d' without its layer's name .* load it in a newer Keras"):
        load_pretrained(str(tmp_path / "a.weights.h5"))


def test_hdf5_of_another_kind(tmp_path):
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["images"] = np.zeros(3)
    with pytest.raises(UserError, match=r"a\.h5 is HDF5 but holds no Keras weights: give a legacy \.h5"):
        load_pretrained(str(tmp_path / "a.h5"))


def test_a_listed_array_that_is_missing(tmp_path, tiny, weights, write_keras):
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        del file["conv1_bn/conv1_bn/beta:0"]
    with pytest.raises(UserError, match=r"a\.h5 is a damaged HDF5 file \(.*beta:0"):
        load_pretrained(str(path), architecture=tiny)


def test_an_array_where_a_group_should_be(tmp_path):
    with h5py.File(tmp_path / "a.weights.h5", "w") as file:
        file["layers/conv2d"] = np.zeros(3, np.float32)
    with pytest.raises(UserError, match=r"a\.weights\.h5 is a damaged HDF5 file"):
        load_pretrained(str(tmp_path / "a.weights.h5"))


def test_a_file_cannot_reach_other_files(tmp_path, tiny, weights, write_keras):
    secret = write_keras(tmp_path / "secret.h5", weights("v1"))
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        del file["conv1_bn/conv1_bn/beta:0"]
        file["conv1_bn/conv1_bn/beta:0"] = h5py.ExternalLink(secret, "conv1_bn/conv1_bn/beta:0")
    with pytest.raises(UserError, match=r"beta:0 does not lie in the file itself"):
        load_pretrained(str(path), architecture=tiny)


def test_a_file_cannot_fill_the_memory(tmp_path, tiny, weights, write_keras):
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        del file["conv1_conv/conv1_conv/kernel:0"]
        file.create_dataset("conv1_conv/conv1_conv/kernel:0", (10**12,), "f4", chunks=(1024,))
    with pytest.raises(UserError, match=r"kernel:0 declares 4,000,000,000,000 bytes"):
        load_pretrained(str(path), architecture=tiny)
