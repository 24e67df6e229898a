"""Features of a frozen network, computed once per image and read from disk ever after.

They lie beside the dataset, in `features/<key>/<level>/`: one memory-mapped .npy file a split and `meta.json`. The key
stands for all that the features depend on: the dataset, the weights and how images are fed to them.
"""

import dataclasses
import hashlib
import json
import logging
import os
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from tqdm import tqdm

from mole_jax.backbones.weights import Pretrained
from mole_jax.chunks import on_cpu
from mole_jax.data.dataset import Dataset
from mole_jax.data.digests import digests
from mole_jax.data.image_file import IMAGE_SHAPE
from mole_jax.data.loader import Batch, evaluation_batches
from mole_jax.data.records import Split
from mole_jax.data.shards import Source
from mole_jax.errors import UserError, full_disk_explained
from mole_jax.files.digest import file_sha256
from mole_jax.files.folder import publish
from mole_jax.files.lock import exclusive
from mole_jax.inputs.normalize import Normalize
from mole_jax.models.transfer import extract
from mole_jax.training.feature_sharing import (
    Level,
    Place,
    Subset,
    copy_rows,
    feature_fault,
    stored_elsewhere,
)
from mole_jax.training.steps import DeviceBatch

# Half precision keeps three digits at half the space: 10,000 maps of 7x7x2048 are 2 GB, their averages 82 MB.
DTYPES: dict[Level, str] = {"maps": "float16", "pooled": "float32"}
Levels = dict[Level, dict[str, Any]]


def batch_size() -> int:
    """Images to a step; the features do not depend on a run's own. On a CPU, which goes through a few at a time anyway
    (`models/chunks.py`), small, since a split's last batch is filled up with nothing.
    """
    return 8 if on_cpu() else 64


class FeatureSource:
    """The stored features of one split, in place of its images."""

    def __init__(self, path: Path, labels: Int[np.ndarray, " n"]) -> None:
        """Maps the file; rows are read when they are asked for."""
        self._rows = np.load(path, mmap_mode="r")
        self._labels = labels

    def __len__(self) -> int:
        """How many records."""
        return len(self._labels)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        """One record: `image` holds the features."""
        return {"image": self._rows[index], "label": self._labels[index]}


class FeatureCache:
    """The features of one dataset from one backbone."""

    def __init__(
        self, dataset: Dataset, pretrained: Pretrained, *, normalize: Normalize, normalize_name: str, dtype: str
    ) -> None:
        """Describes them; nothing is computed yet.

        Args:
            dataset: prepared.
            pretrained: the backbone.
            normalize: from uint8 images to what the backbone is fed; must treat each image alone.
            normalize_name: what stands for `normalize` in the key; two that differ must differ in it.
            dtype: the backbone's compute type.
        """
        self._dataset, self._pretrained, self._normalize, self._dtype = dataset, pretrained, normalize, dtype
        weights = {name: value for name, value in pretrained.describe().items() if name != "file"}
        self._identity = {
            "dataset_fingerprint": dataset.facts.fingerprint,
            "weights": weights,
            "network": json.loads(json.dumps(dataclasses.asdict(pretrained.config))),
            "normalize": normalize_name,
            "compute_dtype": dtype,
        }
        key = hashlib.sha256(json.dumps(self._identity, sort_keys=True).encode()).hexdigest()[:16]
        self.directory = dataset.directory / "features" / key

    def sources(self, level: Level) -> dict[Split, Source]:
        """The stored features of every split; computes them first where they are missing or damaged.

        Maps are stored with their averages, as they come from the same pass; pooled features alone are stored alone.

        Raises:
            UserError: the folder cannot be written, or the disk is too full.
        """
        with exclusive(
            self.directory,
            busy=f"waiting for another process that computes {self.directory}",
            otherwise="give --feature_cache=off, or a --data_dir that can be written",
            wait=True,
        ):
            fault = feature_fault(self.directory / level, self._identity)
            if fault is not None:
                if fault:
                    logging.getLogger(__name__).warning("%s; its features are computed again", fault)
                remedy = "make room, or give --feature_cache=off; the same command goes on from the last whole batch"
                with full_disk_explained(self.directory, remedy):
                    self._compute(("maps", "pooled") if level == "maps" else ("pooled",))
        labels = self._dataset.labels
        return {split: FeatureSource(self._file(level, split), labels[split]) for split in self._dataset.splits}

    def _file(self, level: Level, split: Split) -> Path:
        return self.directory / level / f"{split}.npy"

    def _compute(self, levels: tuple[Level, ...]) -> None:
        config, dtype, normalize = self._pretrained.config, self._dtype, self._normalize

        @jax.jit
        def features(variables: Any, batch: DeviceBatch) -> dict[str, jax.Array]:
            # Both levels always, so that stored pooled features are the same bits with and without the maps.
            both = extract(config, variables, normalize(batch["image"], batch["mask"]), dtype=jnp.dtype(dtype))
            return {level: both[level].astype(DTYPES[level]) for level in DTYPES}

        variables = jax.device_put(self._pretrained.variables)
        size = batch_size()
        empty = Batch(
            image=np.zeros((size, *IMAGE_SHAPE), np.uint8), label=np.zeros(size, np.int32), mask=np.ones(size, bool)
        )
        shapes = jax.eval_shape(features, variables, empty)
        total = sum(len(source) for source in self._dataset.splits.values())
        self._check_space(total * sum(shapes[level].size * shapes[level].dtype.itemsize for level in levels) // size)
        # Kept when the pass is stopped: a slow machine goes on from the last whole batch.
        folder = self.directory / f"incomplete-{'-'.join(levels)}"
        elsewhere = stored_elsewhere(self.directory, self._identity, levels)
        with tqdm(total=total, unit=" images", desc="features", disable=None) as bar:
            for split, source in self._dataset.splits.items():
                row_shapes = {level: (len(source), *shapes[level].shape[1:]) for level in levels}
                files, missing, done = _open(folder, split, row_shapes, source, elsewhere)
                bar.update(len(source) - len(missing) + done)
                for batch in evaluation_batches(Subset(source, missing), batch_size=size, start=done):
                    computed, count = features(variables, jax.device_put(batch)), int(batch["mask"].sum())
                    for level, file in files.items():
                        file[missing[done : done + count]] = _finite(np.asarray(computed[level])[:count], level, split)
                        file.flush()
                    done += count
                    (folder / f"{split}.done").write_text(str(done))
                    bar.update(count)
        for level in levels:
            self._finish(folder / level)
            publish(folder / level, self.directory / level)
        shutil.rmtree(folder)

    def _finish(self, folder: Path) -> None:
        paths = {split: folder / f"{split}.npy" for split in self._dataset.splits}
        files = {split: {"bytes": path.stat().st_size, "sha256": file_sha256(path)} for split, path in paths.items()}
        meta = {"identity": self._identity, "file": self._pretrained.provenance.file, "files": files}
        (folder / "meta.json").write_text(json.dumps(meta, indent=2) + "\n")

    def _check_space(self, needed: int) -> None:
        free = shutil.disk_usage(self.directory).free
        if needed > free:
            raise UserError(
                f"the features need {needed / 1e9:.1f} GB and {self.directory} has {free / 1e9:.1f} GB free: "
                "make room, choose --head=linear or pooled, whose features are smaller, or give --feature_cache=off"
            )


def _open(
    folder: Path, split: Split, shapes: dict[Level, tuple[int, ...]], source: Source, elsewhere: dict[bytes, Place]
) -> tuple[dict[Level, np.memmap[Any, Any]], Int[np.ndarray, " missing"], int]:
    """The files of one split to write to, the rows that the network must compute, and how many of these are done.

    A new file first takes over the rows that are stored elsewhere; a half-written one keeps to the plan it began with.
    """
    plan, progress = folder / f"{split}.missing.npy", folder / f"{split}.done"
    paths = {level: folder / level / f"{split}.npy" for level in shapes}
    # Without the files the plan is what a kill between publishing and clearing away has left.
    if plan.exists() and all(path.exists() for path in paths.values()):
        files = {level: np.lib.format.open_memmap(path, mode="r+") for level, path in paths.items()}
        return files, np.load(plan), int(progress.read_text() or 0) if progress.exists() else 0
    files = {}
    for level, path in paths.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        files[level] = np.lib.format.open_memmap(path, mode="w+", dtype=DTYPES[level], shape=shapes[level])
        _claim_space(path)
    known = {row: elsewhere[d] for row, d in enumerate(digests(source)) if d in elsewhere} if elsewhere else {}
    copy_rows(known, files)
    for file in files.values():
        file.flush()
    missing = np.array([row for row in range(len(source)) if row not in known], np.int64)
    progress.unlink(missing_ok=True)
    part = plan.with_name("part.npy")
    np.save(part, missing)
    part.replace(plan)
    return files, missing, 0


def _claim_space(path: Path) -> None:
    """Claims the blocks of a file that is mapped: a disk that fills up later would kill the process (SIGBUS)."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


def _finite(rows: Float[np.ndarray, "..."], level: str, split: str) -> Float[np.ndarray, "..."]:
    if not np.isfinite(rows).all():
        raise UserError(
            f"the network gives {level} on the {split} split that are not finite or too large for {rows.dtype}: "
            "check --weights and --normalize, or give --feature_cache=off"
        )
    return rows
