"""Stored features of the same pixels from the same network, which lie beside another dataset.

Datasets of one source overlap: other splits of the same images, or augmented copies beside them. An image's features do
not depend on the split that it is in, so that only those of new pixels need the network.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Int

from mole_jax.data.digests import digests
from mole_jax.data.facts import read_facts
from mole_jax.data.shards import Source, open_split
from mole_jax.errors import UserError
from mole_jax.files.digest import file_sha256

Level = Literal["maps", "pooled"]

CHUNK = 64  # rows of maps, 13 MB, at a time


class Place(NamedTuple):
    """A row of stored features: `folder`/<level>/`split`.npy[`row`]."""

    folder: Path
    split: str
    row: int


def feature_fault(folder: Path, identity: Mapping[str, Any]) -> str | None:
    """What is wrong with one folder of stored features, naming the file; "" if it is not there; None if it is sound."""
    if not folder.is_dir():
        return ""
    meta_path = folder / "meta.json"
    try:
        meta = json.loads(meta_path.read_text())
        if meta["identity"] != identity:
            return f"{meta_path} describes other features than its folder's name says"
        for split, stated in meta["files"].items():
            path = folder / f"{split}.npy"
            size = path.stat().st_size
            if size != stated["bytes"]:
                return f"{path} is {size} bytes long instead of {stated['bytes']}"
            if file_sha256(path) != stated["sha256"]:
                return f"{path} has changed since it was written (its checksum differs)"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{folder} is damaged ({type(error).__name__}: {error})"
    return None


def stored_elsewhere(directory: Path, identity: Mapping[str, Any], levels: Sequence[Level]) -> dict[bytes, Place]:
    """Where the features of images lie that other datasets below the same data_dir have, by the images' digests.

    Args:
        directory: of the features that are wanted, data_dir/<name>/<version>/features/<key>.
        identity: what they depend on; a neighbour's may differ in the dataset alone.
        levels: which a neighbour must have.
    """
    places: dict[bytes, Place] = {}
    for folder in sorted(directory.parents[3].glob("*/*/features/*")):
        if folder == directory or not (dataset := folder.parents[1]).joinpath("metadata.json").is_file():
            continue
        try:
            theirs = {**identity, "dataset_fingerprint": read_facts(dataset).fingerprint}
            if any(feature_fault(folder / level, theirs) is not None for level in levels):
                continue
            for split in read_facts(dataset).splits:
                for row, digest in enumerate(digests(open_split(dataset, split))):
                    places.setdefault(digest, Place(folder, split, row))
        except (UserError, OSError):  # a neighbour that is broken is of no use; it is reported when it is used itself
            continue
    return places


def copy_rows(places: Mapping[int, Place], files: Mapping[Level, np.memmap[Any, Any]]) -> None:
    """Copies rows of stored features.

    Args:
        places: row -> where it lies.
        files: level -> where it goes.
    """
    by_file: dict[tuple[Path, str], list[tuple[int, int]]] = {}
    for row, place in places.items():
        by_file.setdefault((place.folder, place.split), []).append((place.row, row))
    for (folder, split), pairs in by_file.items():
        for level, file in files.items():
            stored = np.load(folder / level / f"{split}.npy", mmap_mode="r")
            for start in range(0, len(pairs), CHUNK):
                theirs, ours = np.array(pairs[start : start + CHUNK]).T
                file[ours] = stored[theirs]


class Subset:
    """Some records of a source."""

    def __init__(self, source: Source, rows: Int[np.ndarray, " n"]) -> None:
        """Keeps the source; record i is its record `rows[i]`."""
        self._source, self._rows = source, rows

    def __len__(self) -> int:
        """How many records."""
        return len(self._rows)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """One record."""
        return self._source[int(self._rows[index])]
