import json
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from mole_jax.backbones.formats.torch_checkpoint import read_torch_checkpoint
from mole_jax.backbones.load import load_pretrained
from mole_jax.errors import UserError


def test_without_torch_a_checkpoint_is_refused_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    path = tmp_path / "resnet50.pth"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("resnet50/data.pkl", b"")
    with pytest.raises(UserError, match=r"resnet50\.pth is a torch checkpoint, but torch is not installed: install it"):
        load_pretrained(str(path))


def test_types_that_numpy_lacks_are_named(tmp_path):
    header = json.dumps({"conv1.weight": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(
        UserError, match=r"a\.safetensors holds numbers of a type that NumPy lacks .*: save it as float32"
    ):
        load_pretrained(str(path))


class RunsCode:
    """What a hostile checkpoint holds: unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_torch_checkpoints(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is an optional dependency")
    state = {"conv1.weight": torch.ones(2, 3, 1, 1), "bn1.num_batches_tracked": torch.tensor(3)}
    for name, content, old in (("new", state, False), ("old", state, True), ("wrapped", {"state_dict": state}, False)):
        torch.save(content, tmp_path / name, _use_new_zipfile_serialization=not old)
        tensors = read_torch_checkpoint(tmp_path / name)
        assert list(tensors) == list(state)
        np.testing.assert_array_equal(tensors["conv1.weight"], np.ones((2, 3, 1, 1), np.float32))


def test_bfloat16_checkpoints(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is an optional dependency")
    torch.save({"a": torch.ones(2, dtype=torch.bfloat16)}, tmp_path / "half.pth")
    assert read_torch_checkpoint(tmp_path / "half.pth")["a"].dtype == np.float32


def test_a_checkpoint_never_runs_code(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is an optional dependency")
    torch.save({"state_dict": RunsCode(tmp_path / "ran")}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="holds more than tensors, which is not loaded as it could run code"):
        read_torch_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


def test_a_checkpoint_without_a_state_dict(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is an optional dependency")
    torch.save({"epoch": 3}, tmp_path / "bad.pth")
    with pytest.raises(UserError, match="holds no state dict"):
        read_torch_checkpoint(tmp_path / "bad.pth")
