"""The scratch files of a dataset in the making: row i holds the pixels of image i, written by any process; where there
are masks, row i of a file beside it holds that of image i.
"""

import math
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt8

from mole_jax.data.image_file import IMAGE_SHAPE, IMAGE_SIZE

IMAGE_BYTES: Final = math.prod(IMAGE_SHAPE)
MASK_BYTES: Final = IMAGE_SIZE**2


def read_row(scratch: Path, row: int) -> UInt8[np.ndarray, "224 224 3"]:
    """The pixels of one row."""
    return np.fromfile(scratch, dtype=np.uint8, count=IMAGE_BYTES, offset=row * IMAGE_BYTES).reshape(IMAGE_SHAPE)


def write_row(scratch: Path, row: int, image: UInt8[np.ndarray, "224 224 3"]) -> None:
    """Writes one row; the file must exist and grows as needed."""
    with scratch.open("r+b") as file:
        file.seek(row * IMAGE_BYTES)
        file.write(image.tobytes())


def masks_beside(scratch: Path) -> Path:
    """The file of the masks; it is there where images have masks."""
    return scratch.with_name(f"{scratch.name}-masks")


def read_mask(masks: Path, row: int) -> Bool[np.ndarray, "224 224"]:
    """The mask of one row."""
    values = np.fromfile(masks, dtype=bool, count=MASK_BYTES, offset=row * MASK_BYTES)
    return values.reshape(IMAGE_SIZE, IMAGE_SIZE)


def write_mask(masks: Path, row: int, mask: Bool[np.ndarray, "224 224"]) -> None:
    """Writes one row; the file must exist and grows as needed."""
    with masks.open("r+b") as file:
        file.seek(row * MASK_BYTES)
        file.write(mask.tobytes())
