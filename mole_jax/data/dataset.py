"""A prepared dataset as training uses it: its facts, its rows and its splits."""

import dataclasses
import functools
import hashlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from mole_jax.data.facts import DatasetFacts, read_facts
from mole_jax.data.manifest import ManifestRow, read_manifest
from mole_jax.data.records import CLASSES, SPLITS, Split
from mole_jax.data.shards import Chosen, Source, open_split
from mole_jax.data.versions import AGAIN, DATASET, Reading, dataset_directory
from mole_jax.errors import UserError
from mole_jax.files.sums import verify
from mole_jax.vocabulary.diagnoses import GROUPS, group


@dataclass(frozen=True)
class Dataset:
    """A prepared dataset. Record i of `splits[s]` is `rows[s][i]`; splits without images are left out.

    While it is there, its files stay: `prepare --overwrite` makes a new version beside them.
    """

    directory: Path
    facts: DatasetFacts
    rows: dict[Split, list[ManifestRow]]
    splits: dict[Split, Source]
    reading: Reading = dataclasses.field(repr=False, compare=False)

    @functools.cached_property
    def labels(self) -> dict[Split, Int[np.ndarray, "..."]]:
        """0 mole, 1 melanoma, for each record of each split."""
        return {split: np.array([row.label for row in rows], np.int32) for split, rows in self.rows.items()}

    @functools.cached_property
    def diagnoses(self) -> dict[Split, Int[np.ndarray, "..."]]:
        """What each record of each split shows: 1 melanoma, 2 and more a group of what is no melanoma (GROUPS[0] is 2),
        0 what is none and of no known group.
        """
        numbers = {"": 0} | {name: 2 + i for i, name in enumerate(GROUPS)}
        return {
            split: np.array([1 if row.label else numbers[group(row.dx)] for row in rows], np.int32)
            for split, rows in self.rows.items()
        }

    def pixel_digests(self, split: Split) -> list[bytes]:
        """The SHA-256 of each record's pixels, in order: the manifest's, or computed where it has none."""
        if all(row.pixels for row in self.rows[split]):
            return [bytes.fromhex(row.pixels) for row in self.rows[split]]
        source = self.splits[split]
        return [hashlib.sha256(np.ascontiguousarray(source[i]["image"]).data).digest() for i in range(len(source))]

    def describe(self) -> str:
        """One line for people."""
        counts = ", ".join(f"{len(rows):,} {split}" for split, rows in self.rows.items())
        labels = [row.label for rows in self.rows.values() for row in rows]
        melanomas = sum(labels) / len(labels)
        leaky = f"; LEAKY: {self.facts.leak}" if self.facts.leaky else ""
        return f"{self.facts.name} ({counts} images, {melanomas:.0%} melanoma, protocol {self.facts.protocol}{leaky})"


def load_dataset(data_dir: Path, name: str) -> Dataset:
    """Opens data_dir/name for training.

    Raises:
        UserError: it has not been prepared, one of its files is damaged, it is meant for external validation only,
            or a split lacks one of the classes.
    """
    dataset = open_dataset(data_dir, name)
    if missing := [split for split in SPLITS if split not in dataset.splits]:
        raise UserError(
            f"{name!r} has no {missing[0]} split (protocol {dataset.facts.protocol}): it is for external validation, "
            f"python -m experiments.evaluate --run=RUN --dataset={name}; to train on it, prepare it with "
            "--protocol=grouped"
        )
    for split, of_split in dataset.rows.items():
        labels = {row.label for row in of_split}
        for label, class_name in enumerate(CLASSES):
            if label not in labels:
                raise UserError(
                    f"the {split} split of {name!r} has no {class_name} among its {len(of_split)} images; "
                    "prepare it from a source with more images of that class"
                )
    return dataset


def with_fewer(dataset: Dataset, examples: int, *, seed: int) -> Dataset:
    """The dataset with a part of its training images, drawn at random with the share of melanomas that all have.

    A larger part of the same seed holds a smaller one. Numbers of the dataset, such as its channel means, are still
    those of all images.

    Args:
        dataset: to learn from.
        examples: how many training images, at least one of each class; 0: all.
        seed: of the draw.

    Raises:
        UserError: the split has fewer.
    """
    if not examples:
        return dataset
    labels = dataset.labels["train"]
    if not len(CLASSES) <= examples <= len(labels):
        raise UserError(
            f"examples={examples:,}: the training split of {dataset.facts.name!r} has {len(labels):,} images; give 2 "
            "to that many, or 0 for all of them"
        )
    melanomas, others = (np.random.default_rng(seed).permutation(np.flatnonzero(labels == label)) for label in (1, 0))
    share = round(examples * len(melanomas) / len(labels))
    of_melanomas = min(max(share, 1, examples - len(others)), len(melanomas), examples - 1)
    places = np.sort(np.concatenate([melanomas[:of_melanomas], others[: examples - of_melanomas]]))
    return dataclasses.replace(
        dataset,
        rows={**dataset.rows, "train": [dataset.rows["train"][place] for place in places]},
        splits={**dataset.splits, "train": Chosen([(dataset.splits["train"], place) for place in places.tolist()])},
    )


def open_dataset(data_dir: Path, name: str) -> Dataset:
    """Opens data_dir/name for reading: every split that holds images, even if a class is missing from it.

    Raises:
        UserError: it has not been prepared, or one of its files is damaged.
    """
    reading = _hold(data_dir, name)
    directory = reading.directory
    verify(directory, DATASET, again=AGAIN)
    facts = read_facts(directory)
    of_split: dict[Split, list[ManifestRow]] = {split: [] for split in SPLITS}
    for row in read_manifest(directory):
        of_split[row.split].append(row)
    for split, of_one in of_split.items():
        if len(of_one) != (count := sum(facts.counts.get(split, []))):
            raise UserError(
                f"{directory / 'manifest.csv'} has {len(of_one)} rows of the {split} split and metadata.json counts "
                f"{count}; {AGAIN}"
            )
    rows = {split: of_one for split, of_one in of_split.items() if of_one}
    splits: dict[Split, Source] = {split: open_split(directory, split) for split in rows}
    for split, of_one in rows.items():
        if len(splits[split]) != len(of_one):
            raise UserError(
                f"the shards of the {split} split hold {len(splits[split])} records and {directory / 'manifest.csv'} "
                f"has {len(of_one)} rows; {AGAIN}"
            )
    return Dataset(directory, facts, rows, splits, reading)


def _hold(data_dir: Path, name: str) -> Reading:
    while True:
        try:
            return Reading(dataset_directory(data_dir, name))
        except FileNotFoundError:  # replaced by a newer version in this moment
            continue
