"""What was computed of images, stored once and read ever after, by the SHA-256 of each image's pixels.

It lies beside the datasets in `<data_dir>/<folder>/<key>/<level>/`, in blocks of images that are written whole and
never changed: `rows.npy`, `digests.npy` (the SHA-256 of each row's image) and `meta.json`. The key stands for all that
the rows depend on besides the pixels. So datasets with images in common share them, and a pass that is killed loses
only its last block.
"""

import hashlib
import io
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, Shaped, UInt8

from mole_jax.errors import UserError
from mole_jax.files.changes import SUMS, is_ours, remove_folder
from mole_jax.files.folder import new_folder, publish
from mole_jax.files.reading import read_record
from mole_jax.files.sums import find_fault
from mole_jax.files.writing import write_json

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Block:
    """Rows of some images, memory-mapped, and the SHA-256 of each image's pixels."""

    rows: Shaped[np.ndarray, "n ..."]
    digests: UInt8[np.ndarray, "n 32"]


class StoredSource:
    """The stored rows of one split, in place of its images."""

    def __init__(self, blocks: Sequence[Block], places: Int[np.ndarray, "n 2"], labels: Int[np.ndarray, " n"]) -> None:
        """Notes where the rows lie; a row is read when it is asked for.

        Args:
            blocks: the store's blocks.
            places: for each record, the number of its block and of its row in it.
            labels: label of each record, 0 or 1.
        """
        self._blocks, self._places, self._labels = blocks, places, labels

    def __len__(self) -> int:
        """The number of records."""
        return len(self._labels)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        """One record: `image` holds the row."""
        block, row = self._places[index]
        return {"image": self._blocks[block].rows[row], "label": self._labels[index]}


class Blocks:
    """The blocks of one kind and one identity."""

    def __init__(self, folder: Path, kind: str, identity: Mapping[str, Any]) -> None:
        """Names their folder; nothing is read yet.

        Args:
            folder: of all of the kind, such as `<data_dir>/_features`.
            kind: of a block, one word.
            identity: all that the rows depend on besides the pixels, JSON values.
        """
        self._kind, self._identity = kind, json.loads(json.dumps(identity))
        key = hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()[:16]
        self.directory = folder / key

    def write(self, level: str, rows: Shaped[np.ndarray, "n ..."], digests: UInt8[np.ndarray, "n 32"]) -> None:
        """Adds a block."""
        place = self.directory / level
        place.mkdir(exist_ok=True)
        taken = [int(path.name) for path in place.iterdir() if path.name.isdigit()]
        final = place / f"{max(taken, default=-1) + 1:06d}"
        with new_folder(final, self._kind, otherwise="give another --data_dir") as folder:
            for name, array in (("rows", rows), ("digests", digests)):
                content = io.BytesIO()  # NumPy writes to a file past Python, and a full disk then has no errno
                np.save(content, array)
                # Not its buffer: an error would keep that open. No copy is made of the bytes.
                (folder / f"{name}.npy").write_bytes(content.getvalue())
            write_json(folder / "meta.json", {"identity": self._identity})
            publish(folder, final, self._kind)

    def read(self, level: str) -> list[Block]:
        """The sound blocks; a damaged one is named in the log and removed, to be computed again. What has no mark of
        ours stays where it is and is not used.
        """
        blocks = []
        for folder in sorted(path for path in (self.directory / level).glob("*") if path.name.isdigit()):
            if fault := self._fault(folder):
                logging.getLogger(__name__).warning("%s; its %s are computed again", fault, self._kind)
                if is_ours(folder):
                    remove_folder(folder)
                continue
            blocks.append(Block(np.load(folder / "rows.npy", mmap_mode="r"), np.load(folder / "digests.npy")))
        return blocks

    def _fault(self, folder: Path) -> str:
        """What is wrong with a block, naming the file; "" if it is sound."""
        again = "it is not used"
        if not is_ours(folder):
            return f"{folder} has no {SUMS} of mole_jax"
        if fault := find_fault(folder, self._kind, ("meta.json", "rows.npy", "digests.npy")):
            return fault
        try:
            meta = read_record(folder / "meta.json", dict[str, Any], remedy=again)
        except UserError as error:
            return str(error).removesuffix(f"; {again}")
        if meta.get("identity") != self._identity:
            return f"{folder / 'meta.json'} describes other {self._kind} than its folder's name says"
        return ""


def index(blocks: Sequence[Block]) -> dict[bytes, tuple[int, int]]:
    """The block and row of each image, by the digest of its pixels."""
    return {digest.tobytes(): (b, row) for b, block in enumerate(blocks) for row, digest in enumerate(block.digests)}


def places_of(digests: Sequence[bytes], known: Mapping[bytes, tuple[int, int]]) -> Int[np.ndarray, "n 2"]:
    """The block and row of each of these images."""
    return np.array([known[digest] for digest in digests], np.int64).reshape(-1, 2)
