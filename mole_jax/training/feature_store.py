"""Features of a frozen network, computed once per image and read from disk ever after.

They lie beside the datasets, in `<data_dir>/_features/<key>/<level>/`, in blocks of `BLOCK` images that are written
whole and never changed: `rows.npy`, `digests.npy` (the SHA-256 of each row's pixels) and `meta.json`. The key stands
for all that features depend on besides the pixels: the weights and how they are fed. So datasets with images in common,
or the same images in other splits, share them; and a pass that is killed loses only its last block.
"""

import dataclasses
import hashlib
import io
import json
import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from jaxtyping import Int, Shaped, UInt8
from tqdm import tqdm

from mole_jax.classifier.network import FEATURE_DTYPES, Frozen
from mole_jax.classifier.scoring import feature_batch_size
from mole_jax.data.dataset import Dataset
from mole_jax.data.loader import evaluation_batches
from mole_jax.data.records import Split
from mole_jax.data.shards import Source
from mole_jax.errors import UserError, full_disk_explained
from mole_jax.files.changes import SUMS, is_ours, remove_folder
from mole_jax.files.folder import new_folder, publish
from mole_jax.files.lock import exclusive
from mole_jax.files.reading import read_record
from mole_jax.files.sums import find_fault
from mole_jax.files.writing import write_json
from mole_jax.models.transfer import Level
from mole_jax.placement import Placement, one_device

FOLDER: Final = "_features"  # no dataset can have a name that begins so
FEATURES: Final = "features"  # the kind of a block's folder
BLOCK: Final = 512  # images; 103 MB of maps

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Block:
    """Features of some images, memory-mapped, and the SHA-256 of each image's pixels."""

    rows: Shaped[np.ndarray, "n ..."]
    digests: UInt8[np.ndarray, "n 32"]


class FeatureSource:
    """The stored features of one split, in place of its images."""

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
        """One record: `image` holds the features."""
        block, row = self._places[index]
        return {"image": self._blocks[block].rows[row], "label": self._labels[index]}


class FeatureStore:
    """The features that one frozen network has computed of the images of a data folder."""

    def __init__(self, data_dir: Path, frozen: Frozen, placement: Placement | None = None) -> None:
        """Names the store's folder; nothing is read or computed yet.

        Args:
            data_dir: where prepared datasets lie.
            frozen: the network and how it is fed, which must not depend on the other images of a batch.
            placement: the devices that compute features; None: the first one alone.
        """
        self._frozen, self._placement = frozen, placement or one_device()
        weights = {name: value for name, value in frozen.backbone.describe().items() if name != "file"}
        self._identity = json.loads(
            json.dumps(
                {
                    "weights": weights,
                    "network": dataclasses.asdict(frozen.backbone.config),
                    "inputs": dataclasses.asdict(frozen.inputs),
                    "compute_dtype": frozen.dtype,
                    **({"position": frozen.position} if frozen.position else {}),
                }
            )
        )
        key = hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()[:16]
        self.directory = data_dir / FOLDER / key

    def sources(self, dataset: Dataset, *, tell: Tell = lambda _: None) -> dict[Split, Source]:
        """The stored features of every split; computes those that are missing or damaged first.

        Args:
            dataset: the dataset whose images' features are wanted.
            tell: called with a line for people, now and then, while features are computed.

        Raises:
            UserError: the folder cannot be written, or the disk is too full, or a feature is not finite.
        """
        level = self._frozen.level
        with exclusive(
            self.directory,
            busy=f"waiting for another process that computes features in {self.directory}",
            otherwise="give --feature_cache=off, or a --data_dir that can be written",
            wait=True,
        ):
            blocks = self._read(level)
            wanted = {split: dataset.pixel_digests(split) for split in dataset.splits}
            known = _index(blocks)
            missing: dict[bytes, tuple[Split, int]] = {}
            for split, digests in wanted.items():
                for row, digest in enumerate(digests):
                    if digest not in known:
                        missing.setdefault(digest, (split, row))
            if missing:
                remedy = "make room, or give --feature_cache=off; the same command goes on from the last whole block"
                with full_disk_explained(self.directory, remedy):
                    self._compute(dataset, missing, tell)
                blocks = self._read(level)
                known = _index(blocks)
        return {
            split: FeatureSource(
                blocks, np.array([known[digest] for digest in digests], np.int64).reshape(-1, 2), dataset.labels[split]
            )
            for split, digests in wanted.items()
        }

    def _compute(self, dataset: Dataset, missing: Mapping[bytes, tuple[Split, int]], tell: Tell) -> None:
        # With maps their averages are stored too, from the same pass; averages are stored without maps.
        levels: tuple[Level, ...] = ("pooled", "maps") if self._frozen.level == "maps" else (self._frozen.level,)
        # Of the level that was asked for, nothing that is missing is there.
        there = {level: _index(self._read(level)).keys() for level in levels if level != self._frozen.level}
        placement = self._placement
        step, variables = placement.jit(self._frozen.features), placement.everywhere(self._frozen.backbone.variables)
        self._check_space(variables, levels, len(missing))
        digests, places = list(missing), list(missing.values())
        size, began, done = feature_batch_size() * placement.shares, time.perf_counter(), 0
        with tqdm(total=len(digests), unit=" images", desc="features", disable=None) as bar:
            for start in range(0, len(digests), BLOCK):
                records = _Records([(dataset.splits[split], row) for split, row in places[start : start + BLOCK]])
                parts: dict[Level, list[np.ndarray]] = {level: [] for level in levels}
                for batch in evaluation_batches(records, batch_size=size):
                    computed, mask = step(variables, placement.batch(batch)), batch["mask"]
                    for level in levels:
                        parts[level].append(_finite(np.asarray(computed[level])[mask], level))
                    bar.update(int(mask.sum()))
                block = np.frombuffer(b"".join(digests[start : start + BLOCK]), np.uint8).reshape(-1, 32)
                # The level that was asked for comes last: where its block is there, so is the other's.
                for level in levels:
                    new = np.array([digest.tobytes() not in there.get(level, ()) for digest in block])
                    if new.any():
                        self._write(level, np.concatenate(parts[level])[new], block[new])
                done += len(block)
                rate = done / (time.perf_counter() - began)
                left = (len(digests) - done) / rate / 60
                tell(f"features of {done:,} of {len(digests):,} images, {rate:.1f} images/s, {left:.0f} min left")

    def _write(self, level: Level, rows: Shaped[np.ndarray, "n ..."], digests: UInt8[np.ndarray, "n 32"]) -> None:
        place = self.directory / level
        place.mkdir(exist_ok=True)
        taken = [int(path.name) for path in place.iterdir() if path.name.isdigit()]
        final = place / f"{max(taken, default=-1) + 1:06d}"
        with new_folder(final, FEATURES, otherwise="give another --data_dir") as folder:
            for name, array in (("rows", rows), ("digests", digests)):
                content = io.BytesIO()  # NumPy writes to a file past Python, and a full disk then has no errno
                np.save(content, array)
                (folder / f"{name}.npy").write_bytes(content.getbuffer())
            write_json(folder / "meta.json", {"identity": self._identity})
            publish(folder, final, FEATURES)

    def _read(self, level: Level) -> list[Block]:
        """The sound blocks; a damaged one is named in the log and removed, to be computed again. What has no mark of
        ours stays where it is and is not used.
        """
        blocks = []
        for folder in sorted(path for path in (self.directory / level).glob("*") if path.name.isdigit()):
            if fault := _fault(folder, self._identity):
                logging.getLogger(__name__).warning("%s; its features are computed again", fault)
                if is_ours(folder):
                    remove_folder(folder)
                continue
            blocks.append(Block(np.load(folder / "rows.npy", mmap_mode="r"), np.load(folder / "digests.npy")))
        return blocks

    def _check_space(self, variables: Any, levels: Sequence[Level], images: int) -> None:
        image = {"image": jax.ShapeDtypeStruct((1, 224, 224, 3), np.uint8), "mask": jax.ShapeDtypeStruct((1,), bool)}
        shapes = jax.eval_shape(self._frozen.features, variables, image)
        needed = images * sum(shapes[level].size * np.dtype(FEATURE_DTYPES[level]).itemsize for level in levels)
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise UserError(
                f"the features need {needed / 1e9:.1f} GB and {self.directory} has {free / 1e9:.1f} GB free: "
                "make room, choose --head=linear or pooled, whose features are smaller, or give --feature_cache=off"
            )


class _Records:
    """Some records of several sources, as one source."""

    def __init__(self, places: Sequence[tuple[Source, int]]) -> None:
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        source, row = self._places[index]
        return source[row]


def _index(blocks: Sequence[Block]) -> dict[bytes, tuple[int, int]]:
    """The block and row of each image's features, by the digest of its pixels."""
    return {digest.tobytes(): (b, row) for b, block in enumerate(blocks) for row, digest in enumerate(block.digests)}


def _fault(folder: Path, identity: Mapping[str, Any]) -> str:
    """What is wrong with a block, naming the file; "" if it is sound."""
    again = "it is not used"
    if not is_ours(folder):
        return f"{folder} has no {SUMS} of mole_jax"
    if fault := find_fault(folder, FEATURES, ("meta.json", "rows.npy", "digests.npy")):
        return fault
    try:
        meta = read_record(folder / "meta.json", dict[str, Any], remedy=again)
    except UserError as error:
        return str(error).removesuffix(f"; {again}")
    if meta.get("identity") != identity:
        return f"{folder / 'meta.json'} describes other features than its folder's name says"
    return ""


def _finite(rows: Shaped[np.ndarray, "n ..."], level: Level) -> Shaped[np.ndarray, "n ..."]:
    if not np.isfinite(rows).all():
        raise UserError(
            f"the network gives {level} that are not finite or too large for {rows.dtype}: "
            "check --weights and --normalize, or give --feature_cache=off"
        )
    return rows
