"""A prepared dataset as training uses it: its facts, its rows and its splits."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from mole_jax.data.facts import DatasetFacts, dataset_directory, read_facts
from mole_jax.data.manifest import ManifestRow, read_manifest
from mole_jax.data.preprocess import IMAGE_SIZE
from mole_jax.data.records import CLASSES, SPLITS, Split
from mole_jax.data.shards import Source, open_split
from mole_jax.errors import UserError

IMAGE_SHAPE = (IMAGE_SIZE, IMAGE_SIZE, 3)


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset. Record i of `splits[s]` is `rows[s][i]`."""

    directory: Path
    facts: DatasetFacts
    rows: dict[Split, list[ManifestRow]]
    splits: dict[Split, Source]

    @property
    def labels(self) -> dict[Split, Int[np.ndarray, "..."]]:
        """0 mole, 1 melanoma, for each record of each split."""
        return {split: np.array([row.label for row in rows], np.int32) for split, rows in self.rows.items()}

    def describe(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{len(rows):,} {split}" for split, rows in self.rows.items())
        melanomas = sum(row.label for rows in self.rows.values() for row in rows) / self.facts.images
        leaky = f"; LEAKY: {self.facts.leak}" if self.facts.leaky else ""
        return f"{self.facts.name} ({counts} images, {melanomas:.0%} melanoma, protocol {self.facts.protocol}{leaky})"


def load_dataset(data_dir: Path, name: str) -> Dataset:
    """Opens data_dir/name.

    Raises:
        UserError: it has not been prepared, or a split lacks one of the classes.
    """
    directory = dataset_directory(data_dir, name)
    rows: dict[Split, list[ManifestRow]] = {split: [] for split in SPLITS}
    for row in read_manifest(directory):
        rows[row.split].append(row)
    for split, of_split in rows.items():
        labels = {row.label for row in of_split}
        for label, class_name in enumerate(CLASSES):
            if label not in labels:
                raise UserError(
                    f"the {split} split of {name!r} has no {class_name} among its {len(of_split)} images; "
                    "prepare it from a source with more images of that class"
                )
    splits = {split: open_split(directory, split) for split in SPLITS}
    return Dataset(directory, read_facts(directory), rows, splits)
