"""Against Keras itself: its own ResNet50 with random weights, saved by its own writers."""

import logging
import zipfile
from functools import partial

import h5py
import jax
import numpy as np
import pytest

from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.resnet import ResNet, ResNetConfig
from mole_jax.backbones.weights import count_parameters
from mole_jax.errors import UserError
from tests.backbones.conftest import with_random_numbers

# Keras' own variables, on their way into a file.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")


@pytest.fixture(scope="module")
def keras_model(lenient):
    import keras

    return with_random_numbers(keras.applications.ResNet50, input_shape=(64, 64, 3))


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
    with pytest.raises(
        UserError, match=r"is Keras' ResNet file of 2016 .*res2a_branch2a .*give the later file .*4d473c1d"
    ):
        load_pretrained(str(path), architecture=tiny)


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


@pytest.mark.parametrize(
    ("length", "message"),
    [
        (10**12, r"declares 4,000,000,\d+,\d+ bytes of weights, more than any backbone has"),
        (10**8, r"kernel:0 declares 400,000,000 bytes and holds 0: it is damaged"),
    ],
    ids=["too large", "never written"],
)
def test_an_array_cannot_fill_the_memory(tmp_path, tiny, weights, write_keras, length, message):
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        del file["conv1_conv/conv1_conv/kernel:0"]
        file.create_dataset("conv1_conv/conv1_conv/kernel:0", (length,), "f4", chunks=(1024,))
    with pytest.raises(UserError, match=message):
        load_pretrained(str(path), architecture=tiny)


def test_many_arrays_cannot_fill_the_memory_either(tmp_path, tiny, weights, write_keras):
    """Each below the limit, and none of them written: the file has 30 kB."""
    path = tmp_path / "a.weights.h5"
    with h5py.File(path, "w") as file:
        for i in range(16):
            group = file.create_group(f"layers/conv2d_{i}/vars")
            group.attrs["name"] = f"conv2_block{i}_1_conv"
            group.create_dataset("0", (10**9 // 4,), "f4", chunks=(1024,))
    with pytest.raises(UserError, match=r"declares 16,000,000,000 bytes of weights, more than any backbone has"):
        load_pretrained(str(path), architecture=tiny)


def nested(source, path, *, legacy):
    """The network of a legacy file as one layer of a model with a head, as Sequential([ResNet50, ..., Dense])."""
    with h5py.File(source) as file, h5py.File(path, "w") as out:
        names = [name.decode() for name in file.attrs["layer_names"]]
        if legacy:
            out.attrs["layer_names"] = [b"resnet50", b"flatten", b"dense"]
            group = out.create_group("resnet50")
            listed = []
            for layer in names:
                for name in file[layer].attrs["weight_names"]:
                    if name:
                        group[name] = file[layer][name][()]
                        listed.append(name)
            group.attrs["weight_names"] = np.array(listed)
            out.create_group("flatten").attrs["weight_names"] = np.zeros(0, "S1")
            head = out.create_group("dense")
            head.attrs["weight_names"] = np.array([b"sequential/dense/kernel"])
            head["sequential/dense/kernel"] = np.ones((16, 1), np.float32)
            return
        out.create_group("layers/functional/vars").attrs["name"] = "resnet50"
        for i, layer in enumerate(names):
            group = out.create_group(f"layers/functional/layers/layer_{i}/vars")
            group.attrs["name"] = layer
            for j, name in enumerate(file[layer].attrs["weight_names"]):
                if name:
                    group[str(j)] = file[layer][name][()]
        head = out.create_group("layers/dense/vars")
        head.attrs["name"] = "dense"
        head["0"] = np.ones((16, 1), np.float32)


@pytest.mark.parametrize("name", ["a.h5", "a.weights.h5", "a.keras"])
def test_the_network_may_be_a_layer_of_a_larger_model(tmp_path, tiny, weights, write_keras, name, caplog):
    source = write_keras(tmp_path / "source.h5", weights("v1"))
    path = tmp_path / name
    nested(source, tmp_path / "model.weights.h5" if name == "a.keras" else path, legacy=name == "a.h5")
    if name == "a.keras":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("config.json", "{}")
            archive.write(tmp_path / "model.weights.h5", "model.weights.h5")
    with caplog.at_level(logging.INFO):
        loaded = load_pretrained(str(path), architecture=tiny)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, weights("v1"))
    assert loaded.ignored == ("dense",)
    assert f"{name}: left out dense, which the network does not use" in caplog.text


def test_a_model_of_two_networks_is_not_guessed_at(tmp_path, tiny, weights, write_keras):
    source = write_keras(tmp_path / "source.h5", weights("v1"))
    nested(source, tmp_path / "a.weights.h5", legacy=False)
    with h5py.File(tmp_path / "a.weights.h5", "r+") as file:
        file.copy("layers/functional", "layers/functional_1")
        file["layers/functional_1/vars"].attrs["name"] = "other"
    with pytest.raises(UserError, match=r"holds 2 networks \(resnet50, other\): save one of them by itself"):
        load_pretrained(str(tmp_path / "a.weights.h5"), architecture=tiny)


def test_another_head_is_left_out(tmp_path, tiny, weights, write_keras):
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    with h5py.File(path, "r+") as file:
        file.move("probs", "melanoma")
        file.attrs["layer_names"] = [b"melanoma" if name == b"probs" else name for name in file.attrs["layer_names"]]
    loaded = load_pretrained(str(path), architecture=tiny)
    assert (loaded.config.classes, loaded.ignored) == (None, ("melanoma",))


def test_a_damaged_keras_archive(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.keras", "w") as archive:
        archive.writestr("model.weights.h5", b"no HDF5")
    with pytest.raises(UserError, match=r"a\.keras is a damaged HDF5 file"):
        load_pretrained(str(tmp_path / "a.keras"))
