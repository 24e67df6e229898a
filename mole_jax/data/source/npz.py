"""One .npz archive with the arrays of MedMNIST: train_images, train_labels, and the same for val and test."""

import functools
import hashlib
import math
import zipfile
import zlib
from collections import Counter
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Shaped
from PIL import Image

from mole_jax.data.image_file import LoadedImage, to_model_size
from mole_jax.data.records import Record, Split
from mole_jax.data.source.candidates import Candidates
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.tree import Tree
from mole_jax.errors import UserError

ENDING: Final = ".npz"
# MedMNIST's word for a split -> ours.
PARTS: Final[dict[str, Split]] = {"train": "train", "val": "validation", "test": "test"}
KEYS: Final = tuple(f"{part}_{kind}" for part in PARTS for kind in ("images", "labels"))
# DermaMNIST's classes by number, in HAM10000's short forms (medmnist/info.py; Yang et al., Sci Data 10:41, 2023).
DERMAMNIST: Final = ("akiec", "bcc", "bkl", "df", "mel", "nv", "vasc")
# As many images of each as HAM10000 has.
HAM10000: Final = (327, 514, 1099, 115, 1113, 6705, 142)
LEAK: Final = (
    "DermaMNIST splits HAM10000 by image, so that lesions lie in more than one split, and keeps no ids to tell which "
    "(Abhishek, Jain & Hamarneh, Sci Data 12:196, 2025)"
)
# DermaMNIST at 224 x 224 takes 1.5 GB.
MAX_BYTES: Final = 1 << 32
MAX_HEADER: Final = 4096


class _Header(NamedTuple):
    """What an array says of itself."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def is_npz(tree: Tree) -> bool:
    """Whether the source is one archive with the names of MedMNIST's arrays, and nothing else."""
    if len(tree.files) != 1 or not tree.files[0].lower().endswith(ENDING):
        return False
    try:
        with zipfile.ZipFile(tree.root / tree.files[0]) as archive:
            return {f"{key}.npy" for key in KEYS} <= set(archive.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def read_npz(tree: Tree, choices: Choices) -> Candidates:
    """The images of the archive, with its own splits.

    Raises:
        UserError: the archive is damaged, is too large, or holds other arrays than these; or its labels are other
            numbers than DermaMNIST's, and the user does not say which of them mean melanoma.
    """
    name = tree.files[0]
    path = tree.root / name
    headers = _headers(path)
    labels = {part: _read(path, f"{part}_labels").reshape(-1).tolist() for part in PARTS}
    for part in PARTS:
        _check(path, part, headers[f"{part}_images"], headers[f"{part}_labels"])
    numbers = Counter(number for of_part in labels.values() for number in of_part)
    own_words = any(value.strip().isdigit() for value in (*choices.decisions.positive, *choices.decisions.negative))
    if set(numbers) == set(range(len(DERMAMNIST))) and not own_words:
        words = dict(enumerate(DERMAMNIST))
        notes = [f"labels of {name} are read as DermaMNIST's: {', '.join(f'{i} {w}' for i, w in words.items())}"]
    else:
        words, notes = {number: str(number) for number in numbers}, []
    diagnoses = [words[number] for of_part in labels.values() for number in of_part]
    decisions = choices.decisions
    if other := decisions.only_other(diagnoses):
        decisions = type(decisions)(decisions.positive, (*decisions.negative, other))
        notes.append(f"label {other} of {name} counts as not melanoma, the only other value")
    decisions.check(diagnoses, f"the labels of {name}")
    records = []
    for part, split in PARTS.items():
        for i, number in enumerate(labels[part]):
            if (label := decisions.label(words[number])) is None:
                raise UserError(
                    f"label {number} of {name} says neither melanoma nor not melanoma; decide with --positive"
                )
            image_id = f"{part}_{i}"
            records.append(Record(f"{name}/{part}/{i}", image_id, label, image_id, split, dx=words[number]))
    published = tuple(numbers[i] for i in range(len(DERMAMNIST))) == HAM10000
    return Candidates(
        records, [], [], (name,), tuple(notes), inside=len(records), leak=LEAK if published and not own_words else ""
    )


def load_from_npz(root: Path, record: Record) -> LoadedImage:
    """The pixels of one record of `read_npz`; their hash stands for the file's.

    Args:
        root: the folder of the archive.
        record: its source_path names the archive, the part and the place.
    """
    name, part, place = record.source_path.rsplit("/", 2)
    pixels = _images(root / name, f"{part}_images")[int(place)]
    height, width, _ = pixels.shape
    image = to_model_size(Image.fromarray(pixels))
    return LoadedImage(image, hashlib.sha256(np.ascontiguousarray(pixels).data).hexdigest(), width, height)


@functools.lru_cache(maxsize=2)  # parts follow each other, and where one ends both are asked for
def _images(path: Path, key: str) -> Shaped[np.ndarray, "n height width 3"]:
    return _read(path, key)


def _read(path: Path, key: str) -> Shaped[np.ndarray, "..."]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return arrays[key]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is a damaged archive ({key}: {error}); download it again") from error


def _headers(path: Path) -> dict[str, _Header]:
    """What the arrays say of themselves, before any of them is read.

    Raises:
        UserError: damaged, an array that is no plain one, or together larger than MAX_BYTES.
    """
    found = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for key in KEYS:
                info = archive.getinfo(f"{key}.npy")
                with archive.open(info) as file:
                    found[key] = _header(file)
                size = math.prod(found[key].shape) * found[key].dtype.itemsize
                if not size <= info.file_size <= size + MAX_HEADER:
                    raise ValueError(f"{key} declares {size:,} bytes and has {info.file_size:,}")
    except (OSError, LookupError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} is a damaged archive ({error}); download it again") from error
    total = sum(math.prod(header.shape) * header.dtype.itemsize for header in found.values())
    if total > MAX_BYTES:
        raise UserError(f"{path} holds {total / 1e9:.1f} GB of arrays, and the limit is {MAX_BYTES / 1e9:.1f}")
    return found


def _header(file: Any) -> _Header:
    read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    version = np.lib.format.read_magic(file)
    if version not in read:
        raise ValueError(f"its arrays are of version {version}")
    shape, _, dtype = read[version](file, max_header_size=MAX_HEADER)
    if dtype.hasobject:
        raise ValueError("its arrays hold Python objects, which are not read as they could run code")
    return _Header(shape, dtype)


def _check(path: Path, part: str, images: _Header, labels: _Header) -> None:
    of_pixels = len(images.shape) == 4 and images.shape[3] == 3 and images.dtype == np.uint8 and min(images.shape[1:3])
    if not of_pixels:
        raise UserError(
            f"{part}_images of {path} has the shape {list(images.shape)} of {images.dtype}, and colour photographs are "
            "[n, height, width, 3] of uint8; give the archive of a colour set, such as DermaMNIST's"
        )
    if math.prod(labels.shape) != images.shape[0] or labels.dtype.kind not in "iu":
        raise UserError(
            f"{part}_labels of {path} has the shape {list(labels.shape)} of {labels.dtype}, and its "
            f"{images.shape[0]:,} images need a whole number each"
        )
