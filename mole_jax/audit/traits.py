"""Everything that the audit needs of an image, taken in one pass over the pixels."""

import hashlib
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from mole_jax.audit.collection import Collection
from mole_jax.audit.file_facts import Facts
from mole_jax.data.image_file import IMAGE_SIZE, UnusableImageError
from mole_jax.looks.fingerprints import Fingerprint, fingerprint
from mole_jax.looks.threads import threaded_map

BORDER: Final = 12  # pixels
SEGMENTS: Final = 4  # of each side of the border
SHARP_RADIUS: Final = 60  # pixels around the centre, which no copy has smeared

_y, _x = np.mgrid[:IMAGE_SIZE, :IMAGE_SIZE]
_MIDDLE: Final = np.hypot(_x - (IMAGE_SIZE - 1) / 2, _y - (IMAGE_SIZE - 1) / 2) < SHARP_RADIUS


class Traits(NamedTuple):
    """What is kept of one image.

    Attributes:
        file_hash: SHA-256 of the file, in hex.
        pixel_hash: SHA-256 of the 224x224 pixels, in hex.
        width: width of the source image in pixels.
        height: height of the source image in pixels.
        mean: mean over the pixels of red, green and blue, 0..255.
        std: standard deviation over the pixels of red, green and blue, in the same units.
        border: colour, contrast and roughness of the outermost BORDER pixels (`border_features`).
        sharpness: how much neighbouring pixels differ in the middle, in grey levels; making a copy blurs.
        fingerprint: what the search for near duplicates needs.
        facts: what the file tells without its pixels.
    """

    file_hash: str
    pixel_hash: str
    width: int
    height: int
    mean: Float32[np.ndarray, "3"]
    std: Float32[np.ndarray, "3"]
    border: Float32[np.ndarray, "96"]
    sharpness: float
    fingerprint: Fingerprint
    facts: Facts


def look_at_all(collection: Collection) -> tuple[list[int], list[Traits], dict[str, str]]:
    """Looks at every image once, on all cores.

    Returns:
        The indices of the members that could be read, their traits, and for the others path -> why not.
    """
    from tqdm import tqdm

    progress = tqdm(range(len(collection)), unit=" images", desc="looking", disable=None)
    readable, looks, unreadable = [], [], {}
    for i, seen in enumerate(threaded_map(lambda i: _look_or_why_not(collection, i), progress)):
        if isinstance(seen, str):
            unreadable[collection.members[i].path] = seen
        else:
            readable.append(i)
            looks.append(seen)
    return readable, looks, unreadable


def _look_or_why_not(collection: Collection, i: int) -> Traits | str:
    try:
        loaded = collection.load(i)
    except UnusableImageError as error:
        return str(error)
    image = np.ascontiguousarray(loaded.image)
    mean, std = cv2.meanStdDev(image)
    return Traits(
        file_hash=loaded.sha256,
        pixel_hash=hashlib.sha256(image.data).hexdigest(),
        width=loaded.width,
        height=loaded.height,
        mean=mean.ravel().astype(np.float32),
        std=std.ravel().astype(np.float32),
        border=border_features(image),
        sharpness=sharpness(image),
        fingerprint=fingerprint(image),
        facts=collection.facts(i),
    )


def border_features(image: UInt8[np.ndarray, "224 224 3"]) -> Float32[np.ndarray, "96"]:
    """Mean colour, contrast and roughness along and across of each of the sixteen segments of the border.

    Augmented copies are filled with the nearest pixel: streaks, rough along the border and smooth across it.
    """
    sides = np.stack([np.rot90(image, turns)[:BORDER] for turns in range(4)]).astype(np.float32)  # [4, BORDER, 224, 3]
    tiles = sides.reshape(4, BORDER, SEGMENTS, IMAGE_SIZE // SEGMENTS, 3).swapaxes(1, 2).reshape(16, BORDER, -1, 3)
    grey = tiles.mean(axis=3)
    along, across = np.abs(np.diff(grey, axis=2)).mean(axis=(1, 2)), np.abs(np.diff(grey, axis=1)).mean(axis=(1, 2))
    columns = [tiles.mean(axis=(1, 2)), grey.std(axis=(1, 2))[:, None], along[:, None], across[:, None]]
    return np.concatenate(columns, axis=1).ravel().astype(np.float32)


def sharpness(image: UInt8[np.ndarray, "224 224 3"]) -> float:
    """Standard deviation of the Laplacian of the grey image in its middle."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    return float(cv2.Laplacian(grey, cv2.CV_32F)[_MIDDLE].std())
