import hashlib
import logging
import zipfile

import jax
import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from mole_jax.backbones.formats import npz
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
    assert "RANDOM WEIGHTS: this network is pretrained on nothing (seed 3)" in caplog.text
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


OTHERS = {
    b"": r"is no known weights file \(it begins with b''\): give a Keras .h5 or .keras, a .safetensors or a torch",
    b"weights?": r"is no known weights file \(it begins with b'weights\?'\)",
    b"<html><body>404</body></html>": "is a web page, not weights: the address asks to log in, or is wrong",
    b"\n<!DOCTYPE html>": "is a web page, not weights",
    b"version https://git-lfs.github.com/spec/v1": "is a Git LFS pointer, not the weights .* with git lfs pull",
    b"\x1f\x8b\x08": "is a gzip archive: unpack it",
    b'{"architectures": ["ResNet"]}': "is JSON, which describes a model and holds no weights",
    b"PK\x03\x04 cut": "is a damaged archive",
}


@pytest.mark.parametrize("content", OTHERS)
def test_something_else_is_named_with_the_way_out(tmp_path, content):
    path = tmp_path / "resnet50.h5"
    path.write_bytes(content)
    with pytest.raises(UserError, match=rf"resnet50\.h5 {OTHERS[content]}"):
        load_pretrained(str(path))


def test_a_zip_archive_of_other_things_is_named(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("resnet50.h5", b"")
    with pytest.raises(UserError, match=r"a.zip is a zip archive of resnet50.h5: unpack it, and give the weights file"):
        load_pretrained(str(tmp_path / "a.zip"))


def test_npz_under_torchs_names(tmp_path, tiny, weights, write_torchvision, monkeypatch):
    state = load_file(write_torchvision(tmp_path / "a.safetensors", weights("v1.5")))
    np.savez(tmp_path / "a.npz", **state)
    loaded = load_pretrained(str(tmp_path / "a.npz"), architecture=tiny)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, weights("v1.5"))
    np.savez(tmp_path / "objects.npz", **state, extra=np.array([{}]))
    with pytest.raises(UserError, match=r"objects.npz is damaged or holds more than arrays .*numpy.savez"):
        load_pretrained(str(tmp_path / "objects.npz"), architecture=tiny)
    monkeypatch.setattr(npz, "LARGEST", 1000)
    with pytest.raises(UserError, match=r"a.npz declares [\d,]+ bytes of weights, more than any backbone has"):
        load_pretrained(str(tmp_path / "a.npz"), architecture=tiny)


@pytest.mark.parametrize("prefix", ["module.", "model.", "backbone.", "module.encoder.", "net.0."])
@pytest.mark.parametrize("write", ["write_torchvision", "write_hugging_face"])
def test_a_prefix_that_all_names_share_is_dropped(tmp_path, tiny, weights, request, prefix, write):
    state = load_file(request.getfixturevalue(write)(tmp_path / "a.safetensors", weights("v1.5")))
    save_file({prefix + name: array for name, array in state.items()}, tmp_path / "a.safetensors")
    loaded = load_pretrained(str(tmp_path / "a.safetensors"), architecture=tiny)
    jax.tree.map(np.testing.assert_array_equal, loaded.variables, weights("v1.5"))


@pytest.mark.parametrize(
    ("prefix", "head"),
    [
        ("", ("fc.1.weight", "fc.1.bias")),
        ("", ("fc.0.weight", "fc.3.weight", "fc.1.running_mean")),
        ("", ("classifier.weight", "head.fc.weight")),
        ("backbone.", ("decoder.conv.weight",)),
    ],
)
def test_a_head_of_ones_own_is_left_out_and_that_is_said(
    tmp_path, tiny, weights, write_torchvision, prefix, head, caplog
):
    state = load_file(write_torchvision(tmp_path / "a.safetensors", weights("v1.5")))
    state = {prefix + name: array for name, array in state.items() if not name.startswith("fc.")}
    save_file(state | {name: np.ones(3, np.float32) for name in head}, tmp_path / "a.safetensors")
    with caplog.at_level(logging.INFO):
        loaded = load_pretrained(str(tmp_path / "a.safetensors"), architecture=tiny)
    assert loaded.config.classes is None
    assert sorted(name for name in loaded.ignored if not name.endswith("num_batches_tracked")) == sorted(head)
    assert "a.safetensors: left out " in caplog.text


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
