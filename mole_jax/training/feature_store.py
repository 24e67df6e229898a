"""Features of a frozen network, computed once per image and read from disk ever after (`blocks.py` says how).

The key stands for the weights and how they are fed.
"""

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from jaxtyping import Shaped
from tqdm import tqdm

from mole_jax.classifier.network import FEATURE_DTYPES, Frozen, image_batch_size
from mole_jax.data.dataset import Dataset
from mole_jax.data.loader import evaluation_batches
from mole_jax.data.records import Split
from mole_jax.data.shards import Chosen, Source
from mole_jax.errors import UserError, full_disk_explained
from mole_jax.files.lock import exclusive
from mole_jax.models.transfer import Level
from mole_jax.placement import Placement, one_device
from mole_jax.training.blocks import Blocks, StoredSource, Tell, index, places_of

FOLDER: Final = "_features"  # no dataset can have a name that begins so
FEATURES: Final = "features"  # the kind of a block's folder
BLOCK: Final = 512  # images; 103 MB of maps


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
        identity = {
            "weights": weights,
            "network": dataclasses.asdict(frozen.backbone.config),
            "inputs": dataclasses.asdict(frozen.inputs),
            "compute_dtype": frozen.dtype,
            **({"position": frozen.position} if frozen.position else {}),
        }
        self._blocks = Blocks(data_dir / FOLDER, FEATURES, identity)
        self.directory = self._blocks.directory

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
            blocks = self._blocks.read(level)
            wanted = {split: dataset.pixel_digests(split) for split in dataset.splits}
            known = index(blocks)
            missing: dict[bytes, tuple[Split, int]] = {}
            for split, digests in wanted.items():
                for row, digest in enumerate(digests):
                    if digest not in known:
                        missing.setdefault(digest, (split, row))
            if missing:
                remedy = "make room, or give --feature_cache=off; the same command goes on from the last whole block"
                with full_disk_explained(self.directory, remedy):
                    self._compute(dataset, missing, tell)
                blocks = self._blocks.read(level)
                known = index(blocks)
        return {
            split: StoredSource(blocks, places_of(digests, known), dataset.labels[split])
            for split, digests in wanted.items()
        }

    def _compute(self, dataset: Dataset, missing: Mapping[bytes, tuple[Split, int]], tell: Tell) -> None:
        # With maps their averages are stored too, from the same pass; averages are stored without maps.
        levels: tuple[Level, ...] = ("pooled", "maps") if self._frozen.level == "maps" else (self._frozen.level,)
        # Of the level that was asked for, nothing that is missing is there.
        there = {level: index(self._blocks.read(level)).keys() for level in levels if level != self._frozen.level}
        placement = self._placement
        step, variables = placement.jit(self._frozen.features), placement.everywhere(self._frozen.backbone.variables)
        self._check_space(variables, levels, len(missing))
        digests, places = list(missing), list(missing.values())
        size, began, done = image_batch_size() * placement.shares, time.perf_counter(), 0
        with tqdm(total=len(digests), unit=" images", desc="features", disable=None) as bar:
            for start in range(0, len(digests), BLOCK):
                records = Chosen([(dataset.splits[split], row) for split, row in places[start : start + BLOCK]])
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
                        self._blocks.write(level, np.concatenate(parts[level])[new], block[new])
                done += len(block)
                rate = done / (time.perf_counter() - began)
                left = (len(digests) - done) / rate / 60
                tell(f"features of {done:,} of {len(digests):,} images, {rate:.1f} images/s, {left:.0f} min left")

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


def _finite(rows: Shaped[np.ndarray, "n ..."], level: Level) -> Shaped[np.ndarray, "n ..."]:
    if not np.isfinite(rows).all():
        raise UserError(
            f"the network gives {level} that are not finite or too large for {rows.dtype}: "
            "check --weights and --normalize, or give --feature_cache=off"
        )
    return rows
