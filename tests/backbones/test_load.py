import hashlib
import logging

import jax
import numpy as np
import pytest

from mole_jax.backbones.load import load_pretrained
from mole_jax.errors import UserError


def test_what_a_run_records(tmp_path, tiny, weights, write_torchvision):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    loaded = load_pretrained(str(path), architecture=tiny)
    assert loaded.describe() == {
        "file": "a.safetensors",
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "format": "torchvision/timm state dict",
        "note": "",
        "variant": "v1.5",
        "preprocessing": "torchvision",
    }


def test_the_format_is_told_by_content_not_by_the_ending(tmp_path, tiny, weights, write_keras):
    path = write_keras(tmp_path / "a.safetensors", weights("v1"))
    assert load_pretrained(str(path), architecture=tiny).preprocessing == "keras"


def test_random_is_loud_seeded_and_has_no_preprocessing(tiny, caplog):
    with caplog.at_level(logging.WARNING):
        loaded = load_pretrained("random", architecture=tiny, seed=3)
    assert "RANDOM WEIGHTS: this ResNet is pretrained on nothing (seed 3)" in caplog.text
    assert loaded.preprocessing is None
    assert loaded.describe()["format"] == "random"
    again, other = (load_pretrained("random", architecture=tiny, seed=seed) for seed in (3, 4))
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, again.variables)
    kernels = (x.variables["params"]["conv1"]["kernel"] for x in (loaded, other))
    assert not np.array_equal(*kernels)


def test_random_weights_have_the_scale_of_he_2015():
    variables = load_pretrained("random").variables
    kernel = variables["params"]["layer4_0"]["conv2"]["kernel"]
    assert kernel.std() == pytest.approx((2 / (3 * 3 * 512)) ** 0.5, rel=1e-2)
    assert (variables["params"]["bn1"]["scale"] == 1).all()
    assert (variables["params"]["bn1"]["bias"] == 0).all()
    assert (variables["batch_stats"]["bn1"]["mean"] == 0).all()
    assert (variables["batch_stats"]["bn1"]["var"] == 1).all()


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match=r"no weights file at '.*none\.h5': give the path of one, 'auto' or 'random'"):
        load_pretrained(str(tmp_path / "none.h5"))


@pytest.mark.parametrize(
    "content", [b"", b"<html><body>404</body></html>", b"version https://git-lfs.github.com/spec/v1"]
)
def test_something_else_is_named_by_its_first_bytes(tmp_path, content):
    path = tmp_path / "resnet50.h5"
    path.write_bytes(content)
    with pytest.raises(UserError) as caught:
        load_pretrained(str(path))
    assert f"resnet50.h5 is no known weights file (it begins with {content[:16]!r})" in str(caught.value)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.999])
def test_truncated_safetensors(tmp_path, tiny, weights, write_torchvision, share):
    path = write_torchvision(tmp_path / "a.safetensors", weights("v1.5"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"a\.safetensors is a damaged safetensors file \(.*\): download or write it"):
        load_pretrained(str(path), architecture=tiny)


@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 0.999])
def test_truncated_hdf5(tmp_path, tiny, weights, write_keras, share):
    path = write_keras(tmp_path / "a.h5", weights("v1"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(UserError, match=r"a\.h5 is a damaged HDF5 file \(.*\): download or save it again"):
        load_pretrained(str(path), architecture=tiny)
