"""Named arrays from torch checkpoints, without torch. Of a pickle nothing but tensors is made.

Since torch 1.6 a checkpoint is a zip archive: `data.pkl`, and a file of numbers for each storage. Before, it was three
pickles of what wrote it, the pickle itself, one of its storages' keys, and their numbers one after another. In both, a
tensor is a call of `torch._utils._rebuild_tensor_v2` with a storage, an offset, a shape and strides.
"""

import io
import math
import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final, NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Shaped

from mole_jax.errors import UserError
from mole_jax.files.tensors import Tensors

# Bytes of all arrays together, as for Keras' files: tensors may share one storage.
LARGEST: Final = 2**30
_LEGACY_MAGIC: Final = 0x1950A86A20F9469CFC6C
_TYPES: Final = {
    "DoubleStorage": np.dtype("<f8"),
    "FloatStorage": np.dtype("<f4"),
    "HalfStorage": np.dtype("<f2"),
    "BFloat16Storage": np.dtype(ml_dtypes.bfloat16),
    "LongStorage": np.dtype("<i8"),
    "IntStorage": np.dtype("<i4"),
    "ShortStorage": np.dtype("<i2"),
    "CharStorage": np.dtype("i1"),
    "ByteStorage": np.dtype("u1"),
    "BoolStorage": np.dtype("?"),
}
# How reading an altered file fails.
DAMAGE: Final = (
    *(
        ArithmeticError,
        AttributeError,
        EOFError,
        LookupError,
        MemoryError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ),
    *(pickle.UnpicklingError, struct.error, zipfile.BadZipFile, zlib.error, StopIteration),
)


class _Storage(NamedTuple):
    key: str
    dtype: np.dtype[Any]


class _Tensor(NamedTuple):
    """A tensor whose numbers have not been read yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


class _Refused(Exception):
    """Something else than tensors and plain values; says what."""


class _Unpickler(pickle.Unpickler):
    """Makes tensors, dicts and plain values; refuses all else, so that no code of a file runs."""

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file)
        self.types = dict[str, np.dtype[Any]]()  # of each storage that was named

    def find_class(self, module: str, name: str, /) -> Any:
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _rebuild_tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _rebuild_parameter
        if module == "torch" and name in _TYPES:
            return _TYPES[name]
        raise _Refused(f"it names {module}.{name}")

    def persistent_load(self, pid: Any, /) -> _Storage:
        kind, dtype, key, *_ = pid
        if kind != "storage" or not isinstance(dtype, np.dtype):
            raise _Refused(f"it refers to a {kind!r}")
        self.types[str(key)] = dtype
        return _Storage(str(key), dtype)


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


def _rebuild_parameter(tensor: _Tensor, *_: Any) -> _Tensor:
    return tensor


def read_torch_checkpoint(path: Path) -> Tensors:
    """A state dict saved by torch, bare or under the key "state_dict"; bfloat16 becomes float32.

    Raises:
        UserError: the file is damaged, or holds more than tensors.
    """
    try:
        with path.open("rb") as file:
            is_zip = file.read(4) == b"PK\x03\x04"
        state, numbers = _read_zip(path) if is_zip else _read_legacy(path)
        state = state.get("state_dict", state) if isinstance(state, dict) else {}
        if not state or not all(isinstance(value, _Tensor) for value in state.values()):
            raise UserError(f"{path} holds no state dict: save model.state_dict(), bare or under the key 'state_dict'")
        if (size := sum(_size(tensor) for tensor in state.values())) > LARGEST:
            raise UserError(f"{path} declares {size:,} bytes of weights, more than any backbone has: it is damaged")
        return {str(name): _array(tensor, numbers(tensor.storage)) for name, tensor in state.items()}
    except UserError:
        raise
    except _Refused as error:
        raise UserError(
            f"{path} holds more than tensors, which is not loaded as it could run code ({error}): "
            "save its state_dict() alone"
        ) from error
    except DAMAGE as error:
        raise UserError(f"{path} is a damaged torch checkpoint ({error}): download or save it again") from error


def _read_zip(path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    """The pickled value, and what gives a storage's bytes."""
    with zipfile.ZipFile(path) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
        if sum(sizes.values()) > LARGEST:
            raise UserError(f"{path} declares {sum(sizes.values()):,} bytes of weights, more than any backbone has")
        folder = next(name for name in sizes if name.endswith("data.pkl")).removesuffix("data.pkl")
        if f"{folder}byteorder" in sizes and archive.read(f"{folder}byteorder") != b"little":
            raise ValueError("its numbers are big-endian")
        state = _Unpickler(io.BytesIO(archive.read(f"{folder}data.pkl"))).load()
        stored = {name.removeprefix(f"{folder}data/"): archive.read(name) for name in sizes if "/data/" in name}
    return state, lambda storage: stored[storage.key]


def _read_legacy(path: Path) -> tuple[Any, Callable[[_Storage], bytes]]:
    """The pickled value, and what gives a storage's bytes."""
    stored: dict[str, tuple[int, int]] = {}
    content = path.read_bytes()
    file = io.BytesIO(content)
    magic, _, system = (_Unpickler(file).load() for _ in range(3))
    if magic != _LEGACY_MAGIC or not system["little_endian"]:
        raise ValueError("it is an older kind, or its numbers are big-endian")
    pickled = _Unpickler(file)
    state, keys = pickled.load(), _Unpickler(file).load()
    for key in keys:  # of each storage, how many numbers it has, and these
        (count,) = struct.unpack("<q", file.read(8))
        stored[key] = file.tell(), count * pickled.types[key].itemsize
        file.seek(stored[key][1], io.SEEK_CUR)

    def numbers(storage: _Storage) -> bytes:
        start, size = stored[storage.key]
        return content[start : start + size]

    return state, numbers


def _size(tensor: _Tensor) -> int:
    return math.prod(tensor.shape) * tensor.storage.dtype.itemsize


def _array(tensor: _Tensor, numbers: bytes) -> Shaped[np.ndarray, "..."]:
    """The tensor's numbers, by its offset and strides (all in numbers), none of which leads out of its storage."""
    flat = np.frombuffer(numbers, tensor.storage.dtype)
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if min((offset, *shape, *strides)) < 0 or (_size(tensor) and last >= flat.size):
        raise ValueError(f"a tensor of shape {shape} leads out of its {flat.size:,} numbers")
    steps = [stride * flat.itemsize for stride in strides]
    array = np.lib.stride_tricks.as_strided(flat[offset:], shape, steps, writeable=False)
    return array.astype(np.float32 if array.dtype == ml_dtypes.bfloat16 else array.dtype)  # a copy of its own
