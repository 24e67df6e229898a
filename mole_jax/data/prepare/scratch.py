"""The scratch file of a dataset in the making: row i holds the pixels of image i, written by any process."""

import math
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import UInt8

from mole_jax.data.image_file import IMAGE_SHAPE

IMAGE_BYTES: Final = math.prod(IMAGE_SHAPE)


def read_row(scratch: Path, row: int) -> UInt8[np.ndarray, "224 224 3"]:
    """The pixels of one row."""
    return np.fromfile(scratch, dtype=np.uint8, count=IMAGE_BYTES, offset=row * IMAGE_BYTES).reshape(IMAGE_SHAPE)


def write_row(scratch: Path, row: int, image: UInt8[np.ndarray, "224 224 3"]) -> None:
    """Writes one row; the file must exist and grows as needed."""
    with scratch.open("r+b") as file:
        file.seek(row * IMAGE_BYTES)
        file.write(image.tobytes())
