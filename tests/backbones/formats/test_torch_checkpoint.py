"""Torch's two layouts, as a stand-in for torch writes them, and as torch itself does where it is installed."""

import io
import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from mole_jax.backbones.formats import torch_checkpoint
from mole_jax.backbones.formats.torch_checkpoint import read_torch_checkpoint
from mole_jax.backbones.load import load_pretrained
from mole_jax.errors import UserError

STORAGES = {"<f4": "FloatStorage", "<f2": "HalfStorage", "<i8": "LongStorage", "bfloat16": "BFloat16Storage"}


class Tensor:
    """An array that is pickled as torch pickles a tensor: `base` is its storage, `array` a view of it."""

    def __init__(self, array, base=None, offset=0, strides=None):
        array = np.array(array, order="C")
        self.base = array.ravel() if base is None else base
        strides = [stride // array.itemsize for stride in array.strides] if strides is None else strides
        self.rest = (offset, array.shape, tuple(strides))

    def __reduce__(self):
        return sys.modules["torch._utils"]._rebuild_tensor_v2, (Storage(self.base), *self.rest, False, OrderedDict())


class Storage:
    def __init__(self, numbers):
        self.numbers = numbers


@pytest.fixture
def torch(monkeypatch):
    """Modules of torch's names, to be pickled by reference."""
    package, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for name in STORAGES.values():
        setattr(package, name, type(name, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2():
        raise NotImplementedError

    _rebuild_tensor_v2.__module__, _rebuild_tensor_v2.__qualname__ = "torch._utils", "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    monkeypatch.setitem(sys.modules, "torch", package)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)
    return package


class Pickler(pickle.Pickler):
    def __init__(self, file, torch):
        super().__init__(file, protocol=2)
        self.torch, self.storages = torch, {}

    def persistent_id(self, value):
        if not isinstance(value, Storage):
            return None
        key = str(id(value.numbers))
        self.storages[key] = value.numbers
        kind = "bfloat16" if value.numbers.dtype == ml_dtypes.bfloat16 else value.numbers.dtype.str
        return "storage", getattr(self.torch, STORAGES[kind]), key, "cpu", value.numbers.size


def write_zip(path, value, torch):
    pickler = Pickler(file := io.BytesIO(), torch)
    pickler.dump(value)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", file.getvalue())
        archive.writestr("archive/byteorder", "little")
        for key, numbers in pickler.storages.items():
            archive.writestr(f"archive/data/{key}", numbers.tobytes())


def write_legacy(path, value, torch):
    with path.open("wb") as file:
        for start in (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True}):
            pickle.dump(start, file, protocol=2)
        pickler = Pickler(file, torch)
        pickler.dump(value)
        pickle.dump(sorted(pickler.storages), file, protocol=2)
        for _, numbers in sorted(pickler.storages.items()):
            file.write(struct.pack("<q", numbers.size) + numbers.tobytes())


WRITERS = pytest.mark.parametrize("write", [write_zip, write_legacy])


@WRITERS
@pytest.mark.parametrize("wrapped", [False, True])
def test_arrays_come_back_as_they_were_written(tmp_path, torch, write, wrapped):
    rng = np.random.default_rng(0)
    base = rng.normal(size=24).astype(np.float32)
    arrays = {
        "conv1.weight": rng.normal(size=(2, 3, 1, 1)).astype(np.float32),
        "half": rng.normal(size=5).astype(np.float16),
        "counter": np.array(7),
        "empty": np.zeros((0, 3), np.float32),
        "bfloat16": rng.normal(size=4).astype(ml_dtypes.bfloat16),
    }
    state = OrderedDict({name: Tensor(array) for name, array in arrays.items()})
    state["view"] = Tensor(base.reshape(4, 6)[1:3].T, base, offset=6, strides=(1, 6))  # channels last, and a part
    write(tmp_path / "a.pth", {"state_dict": state, "epoch": 3} if wrapped else state, torch)
    given = read_torch_checkpoint(tmp_path / "a.pth")
    assert list(given) == [*arrays, "view"]
    for name, array in arrays.items():
        expected = array.astype(np.float32) if name == "bfloat16" else array
        np.testing.assert_array_equal(given[name], expected, strict=True)
    np.testing.assert_array_equal(given["view"], base.reshape(4, 6)[1:3].T, strict=True)


class RunsCode:
    """What a hostile checkpoint holds: unpickling it creates a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


@WRITERS
def test_a_checkpoint_never_runs_code(tmp_path, torch, write):
    write(tmp_path / "bad.pth", {"state_dict": RunsCode(tmp_path / "ran")}, torch)
    with pytest.raises(UserError, match=r"bad.pth holds more than tensors, which is not loaded .* \(it names"):
        read_torch_checkpoint(tmp_path / "bad.pth")
    assert not (tmp_path / "ran").exists()


@WRITERS
@pytest.mark.parametrize("value", [{"epoch": 3}, {}, [1]], ids=str)
def test_a_checkpoint_without_a_state_dict(tmp_path, torch, write, value):
    write(tmp_path / "bad.pth", value, torch)
    with pytest.raises(UserError, match=r"bad.pth holds no state dict: save model.state_dict\(\)"):
        read_torch_checkpoint(tmp_path / "bad.pth")


OUTSIDE = {
    "offset": {"offset": 3},
    "negative offset": {"offset": -1},
    "strides": {"strides": (5, 1)},
    "negative strides": {"strides": (-1, 1)},
}


@WRITERS
@pytest.mark.parametrize("where", OUTSIDE)
def test_a_tensor_cannot_read_beyond_its_storage(tmp_path, torch, write, where):
    write(tmp_path / "bad.pth", {"a": Tensor(np.zeros((2, 2), np.float32), **OUTSIDE[where])}, torch)
    with pytest.raises(
        UserError, match=r"bad.pth is a damaged torch checkpoint \(a tensor of shape .* leads out of its 4"
    ):
        read_torch_checkpoint(tmp_path / "bad.pth")


def test_one_number_cannot_fill_the_memory(tmp_path, torch):
    one = Tensor(np.zeros(1, np.float32))
    one.rest = (0, (2**20, 2**10), (0, 0))
    write_zip(tmp_path / "bad.pth", {"a": one}, torch)
    with pytest.raises(UserError, match=r"declares 4,294,967,296 bytes of weights, more than any backbone has"):
        read_torch_checkpoint(tmp_path / "bad.pth")


def test_an_archive_cannot_fill_the_memory(tmp_path, torch, monkeypatch):
    write_zip(tmp_path / "bad.pth", {"a": Tensor(np.zeros(1000, np.float32))}, torch)
    monkeypatch.setattr(torch_checkpoint, "LARGEST", 1000)
    with pytest.raises(UserError, match=r"declares 4,[\d]+ bytes of weights, more than any backbone has"):
        read_torch_checkpoint(tmp_path / "bad.pth")


@WRITERS
def test_any_part_of_a_file_is_one_sentence(tmp_path, torch, write):
    write(tmp_path / "a.pth", {"a": Tensor(np.arange(6, dtype=np.float32).reshape(2, 3))}, torch)
    whole = (tmp_path / "a.pth").read_bytes()
    for length in range(5, len(whole), 7):
        (tmp_path / "cut.pth").write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"cut.pth is a damaged torch checkpoint|holds no state dict"):
            read_torch_checkpoint(tmp_path / "cut.pth")


def test_types_that_numpy_lacks_are_named(tmp_path):
    header = json.dumps({"conv1.weight": {"dtype": "F8_E4M3", "shape": [2], "data_offsets": [0, 2]}}).encode()
    path = tmp_path / "a.safetensors"
    path.write_bytes(len(header).to_bytes(8, "little") + header + bytes(2))
    with pytest.raises(
        UserError, match=r"a\.safetensors holds numbers of a type that NumPy lacks .*: save it as float32"
    ):
        load_pretrained(str(path))


@pytest.mark.parametrize("old", [False, True])
def test_what_torch_itself_writes(tmp_path, old):
    torch = pytest.importorskip("torch", reason="torch is an optional dependency")
    state = {
        "weight": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "counter": torch.tensor(3),
        "half": torch.ones(2, dtype=torch.bfloat16),
    }
    torch.save({"state_dict": state}, tmp_path / "a.pth", _use_new_zipfile_serialization=not old)
    given = read_torch_checkpoint(tmp_path / "a.pth")
    assert list(given) == list(state)
    for name, tensor in state.items():
        expected = tensor.detach().float() if name == "half" else tensor.detach()
        np.testing.assert_array_equal(given[name], expected.numpy(), strict=True)
