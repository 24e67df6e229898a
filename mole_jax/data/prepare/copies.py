"""Augmented copies as Keras' ImageDataGenerator makes them: rotated, shifted, zoomed, flipped, edges smeared outwards.

The protocols say which copies there are. The pixels of copy k of an original follow from the seed, the
original's image_id and k alone, so that they are the same in every protocol.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Float, UInt8

from mole_jax.data.image_file import IMAGE_SIZE
from mole_jax.data.prepare.protocols import shuffle_key
from mole_jax.data.prepare.scratch import masks_beside, read_mask, read_row, write_mask, write_row
from mole_jax.data.records import Example
from mole_jax.workers import map_in_workers

# The ranges of the public HAM10000 recipe (ImageDataGenerator(rotation_range=180, width_shift_range=0.1,
# height_shift_range=0.1, zoom_range=0.1, horizontal_flip=True, vertical_flip=True, fill_mode="nearest")), as the makers
# of the Kaggle set do not state theirs. Unlike theirs, these copies are not encoded as JPEG a second time.
MAX_ROTATION: Final = 180.0  # degrees
MAX_SHIFT: Final = 0.1  # of the side
MAX_ZOOM: Final = 0.1


class Affine(NamedTuple):
    """One copy's transformation, as keras' apply_affine_transform makes it, but rows before columns: where each pixel
    of the copy is looked up in the original, first zoomed, then shifted, then rotated about the centre. Then flipped.

    Attributes:
        rotation: angle in degrees, -180 to 180.
        shift: along rows and along columns, in pixels.
        zoom: along rows and along columns; 1: none; below 1 the lesion grows.
        flip: whether it is flipped upside down, and whether left to right.
    """

    rotation: float
    shift: tuple[float, float]
    zoom: tuple[float, float]
    flip: tuple[bool, bool]


def make_copies(copies: Sequence[Example], scratch: Path, first_row: int, *, seed: int, workers: int) -> list[Example]:
    """Makes the pixels of copies, and their masks where there are any, on all cores.

    Args:
        copies: the copies as `Example.as_copy` makes them, each with the row of its original.
        scratch: file to read originals from and to write copies to, from `first_row` on.
        first_row: the row of the first copy, behind the last original.
        seed: decides the transformations.
        workers: number of processes; the result does not depend on it.

    Returns:
        The copies with their own rows, sizes and hashes of pixels.
    """
    jobs = ((scratch, first_row + i, seed, example) for i, example in enumerate(copies))
    return map_in_workers(_make_one, jobs, total=len(copies), workers=workers, desc="augmenting", name_of=_source_path)


def _source_path(job: tuple[Path, int, int, Example]) -> str:
    return job[3].source_path


def draw_affine(seed: int, original: str, copy: int) -> Affine:
    """The transformation of one copy, uniform in the ranges above, with a zoom for each axis; never changes.

    Args:
        seed: the dataset's seed.
        original: the image_id of the original.
        copy: which copy of that original, 1, 2, ...
    """
    digest = shuffle_key(seed, "copy", f"{original}/{copy}")
    unit = np.frombuffer(digest, "<u4")[:7] / 2**32  # in [0, 1)
    rotation, *shift_and_zoom = (2 * unit[:5] - 1).tolist()
    rows, columns, zoom_rows, zoom_columns = shift_and_zoom
    return Affine(
        rotation=MAX_ROTATION * rotation,
        shift=(MAX_SHIFT * IMAGE_SIZE * rows, MAX_SHIFT * IMAGE_SIZE * columns),
        zoom=(1 + MAX_ZOOM * zoom_rows, 1 + MAX_ZOOM * zoom_columns),
        flip=(bool(unit[5] < 0.5), bool(unit[6] < 0.5)),
    )


def apply_affine(image: UInt8[np.ndarray, "side side c"], affine: Affine) -> UInt8[np.ndarray, "side side c"]:
    """Transforms a square image: linear interpolation, the nearest pixel beyond the edge, rounded to whole values."""
    from scipy import ndimage  # late: the processes that decode import this module too

    matrix, offset = _lookup(affine, image.shape[0])
    turned = np.empty(image.shape, np.float32)
    for channel in range(image.shape[-1]):
        ndimage.affine_transform(
            image[..., channel], matrix, offset, output=turned[..., channel], order=1, mode="nearest"
        )
    step = [-1 if flip else 1 for flip in affine.flip]
    return np.rint(turned[:: step[0], :: step[1]]).astype(np.uint8)


def _lookup(affine: Affine, side: int) -> tuple[Float[np.ndarray, "2 2"], Float[np.ndarray, " 2"]]:
    """From a pixel of the turned image to where it lies in the original: matrix @ pixel + offset."""
    angle = np.deg2rad(affine.rotation)
    rotate = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    matrix = rotate @ np.diag(affine.zoom)
    centre = np.full(2, (side - 1) / 2)
    return matrix, centre + rotate @ np.array(affine.shift) - matrix @ centre


def _make_one(job: tuple[Path, int, int, Example]) -> Example:
    scratch, row, seed, example = job
    affine = draw_affine(seed, example.augmented_from, example.copy)
    image = apply_affine(read_row(scratch, example.row), affine)
    write_row(scratch, row, image)
    if (masks := masks_beside(scratch)).exists():
        mask = read_mask(masks, example.row).astype(np.uint8)[..., None] * np.uint8(255)
        write_mask(masks, row, apply_affine(mask, affine)[..., 0] >= 128)
    return dataclasses.replace(
        example, sha256=hashlib.sha256(image.data).hexdigest(), width=IMAGE_SIZE, height=IMAGE_SIZE, row=row
    )
