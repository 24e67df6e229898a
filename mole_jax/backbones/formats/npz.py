"""Named arrays from NumPy's .npz."""

import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from mole_jax.errors import UserError
from mole_jax.files.tensors import Tensors

# Bytes of all arrays together, as for Keras' files: a small archive can declare any size.
LARGEST: Final = 2**30


def read_npz_weights(path: Path) -> Tensors:
    """The arrays of an archive by name. Nothing is unpickled.

    Raises:
        UserError: damaged, with Python objects inside, or larger than any backbone.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            size = sum(info.file_size for info in archive.infolist())
        if size > LARGEST:
            raise UserError(f"{path} declares {size:,} bytes of weights, more than any backbone has: it is damaged")
        with np.load(path, allow_pickle=False) as arrays:
            return {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(
            f"{path} is damaged or holds more than arrays ({error}): save it with numpy.savez(FILE, **state_dict)"
        ) from error
