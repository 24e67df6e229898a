import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.match import WeightsMismatchError


def assert_same(variables, expected):
    assert jax.tree.structure(variables) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, variables, expected)


def test_torchvision_and_timm_names(tmp_path, tiny, weights, write_torchvision):
    expected = weights("v1.5")
    loaded = load_pretrained(str(write_torchvision(tmp_path / "a.safetensors", expected)), architecture=tiny)
    assert_same(loaded.variables, expected)
    assert (loaded.variant, loaded.preprocessing, loaded.config.classes) == ("v1.5", "torchvision", 5)
    assert loaded.provenance.format == "torchvision/timm state dict"


def test_hugging_face_names(tmp_path, tiny, weights, write_hugging_face):
    expected = weights("v1.5")
    path = write_hugging_face(tmp_path / "a.safetensors", expected)
    loaded = load_pretrained(str(path), architecture=tiny)
    assert_same(loaded.variables, expected)
    assert (loaded.variant, loaded.preprocessing) == ("v1.5", "torchvision")
    assert loaded.provenance.format == "Hugging Face state dict"


def test_a_hugging_face_backbone_has_no_prefix_and_no_classifier(tmp_path, tiny, weights, write_hugging_face):
    path = write_hugging_face(tmp_path / "a.safetensors", weights("v1.5"))
    state = {k.removeprefix("resnet."): v for k, v in load_file(path).items() if not k.startswith("classifier")}
    save_file(state, path)
    loaded = load_pretrained(str(path), architecture=tiny)
    expected = weights("v1.5")
    del expected["params"]["fc"]
    assert_same(loaded.variables, expected)
    assert loaded.config.classes is None


def test_the_counters_of_batches_are_ignored_by_name(tmp_path, tiny, weights, write_torchvision):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    loaded = load_pretrained(str(path), architecture=tiny)
    assert len(loaded.ignored) == 12
    assert all(name.endswith(".num_batches_tracked") for name in loaded.ignored)


@pytest.mark.parametrize(
    "name",
    ["conv1.0.weight", "layer1.0.se.fc1.weight", "head.weight", "conv1.gain", "attention.weight", "layer5.0.x.weight"],
)
def test_names_of_other_networks_are_refused(tmp_path, tiny, weights, write_torchvision, name):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    save_file(load_file(path) | {name: np.zeros((4, 3, 3, 3), np.float32)}, path)
    with pytest.raises(WeightsMismatchError) as caught:
        load_pretrained(str(path), architecture=tiny)
    assert caught.value.only_in_file == [name]
