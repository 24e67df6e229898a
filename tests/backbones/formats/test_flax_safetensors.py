import json

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from mole_jax.backbones.formats.flax_safetensors import write_flax_safetensors
from mole_jax.backbones.load import load_pretrained
from mole_jax.errors import UserError


def metadata_of(path):
    with safe_open(path, framework="numpy") as file:
        return file.metadata()


@pytest.fixture
def ported(tmp_path, tiny, weights, write_keras):
    source = load_pretrained(str(write_keras(tmp_path / "source.h5", weights("v1"))), architecture=tiny)
    write_flax_safetensors(tmp_path / "out" / "ported.safetensors", source)
    return tmp_path / "out" / "ported.safetensors"


def test_a_ported_file_gives_the_same_numbers_variant_and_preprocessing(ported, tiny, weights):
    loaded = load_pretrained(str(ported), architecture=tiny)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, weights("v1"))
    assert (loaded.variant, loaded.preprocessing, loaded.config.classes) == ("v1", "keras", 5)
    assert loaded.provenance.note.startswith("ported from source.h5 (Keras legacy .h5, sha256 ")


def test_the_file_is_plain_safetensors_under_flat_flax_names(ported, weights):
    np.testing.assert_array_equal(load_file(ported)["params/conv1/kernel"], weights("v1")["params"]["conv1"]["kernel"])
    metadata = metadata_of(ported)
    assert (metadata["variant"], metadata["preprocessing"]) == ("v1", "keras")
    assert json.loads(metadata["provenance"])["file"] == "source.h5"


def test_nothing_unfinished_is_left_beside_it_and_others_may_read_it(ported, tmp_path):
    ordinary = tmp_path / "ordinary"
    ordinary.touch()
    assert ported.stat().st_mode == ordinary.stat().st_mode
    assert [path.name for path in ported.parent.iterdir()] == ["ported.safetensors"]


@pytest.mark.parametrize(
    "change",
    [{"preprocessing": "torchvision"}, {"variant": "v1.5"}, {"preprocessing": "none"}, {"digest": "0"}],
    ids=str,
)
def test_altered_metadata_is_noticed(ported, tiny, change):
    save_file(load_file(ported), ported, metadata_of(ported) | change)
    with pytest.raises(UserError, match=r"ported\.safetensors was altered after it was written"):
        load_pretrained(str(ported), architecture=tiny)


def test_an_altered_value_is_noticed(ported, tiny):
    tensors, metadata = load_file(ported), metadata_of(ported)
    tensors["params/conv1/kernel"][0, 0, 0, 0] += 1e-3
    save_file(tensors, ported, metadata)
    with pytest.raises(UserError, match="was altered"):
        load_pretrained(str(ported), architecture=tiny)


def test_random_weights_are_not_written(tmp_path, tiny):
    with pytest.raises(UserError, match="random weights are not worth a file"):
        write_flax_safetensors(tmp_path / "a.safetensors", load_pretrained("random", architecture=tiny))
    assert not (tmp_path / "a.safetensors").exists()


def test_a_place_that_cannot_be_written_is_named(tmp_path, tiny, weights, write_keras):
    source = load_pretrained(str(write_keras(tmp_path / "source.h5", weights("v1"))), architecture=tiny)
    with pytest.raises(UserError, match=r"cannot write .*source\.h5/a\.safetensors \(Not a directory|File exists\)"):
        write_flax_safetensors(tmp_path / "source.h5" / "a.safetensors", source)
