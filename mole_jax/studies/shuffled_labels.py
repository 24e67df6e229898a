"""A run trained once more on labels that mean nothing: whoever explains both alike explains no labels."""

import dataclasses
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from mole_jax.classifier.classifier import Classifier
from mole_jax.config import SVM
from mole_jax.data.dataset import Dataset
from mole_jax.data.manifest import ManifestRow
from mole_jax.data.shards import Source
from mole_jax.studies.experiment import load_backbone
from mole_jax.training.loop import train
from mole_jax.training.svm import train_svm

SEED: Final = 0


class Relabelled:
    """The records of a source under other labels; can be pickled."""

    def __init__(self, source: Source, labels: list[int]) -> None:
        """Notes the labels.

        Args:
            source: the records.
            labels: of each.
        """
        self._source, self._labels = source, labels

    def __len__(self) -> int:
        """The number of records."""
        return len(self._source)

    def __getitem__(self, index: int, /) -> Mapping[str, Any]:
        """One record."""
        return {**self._source[index], "label": self._labels[index]}


def with_shuffled_labels(dataset: Dataset) -> Dataset:
    """The dataset with the labels of its training and validation images dealt out anew, each split's among itself;
    the images and the test split stay.
    """
    random = np.random.default_rng(SEED)
    rows, splits = dict(dataset.rows), dict(dataset.splits)
    for split in ("train", "validation"):
        labels = [int(label) for label in random.permutation([row.label for row in rows[split]])]
        rows[split] = [_relabelled(row, label) for row, label in zip(rows[split], labels, strict=True)]
        splits[split] = Relabelled(splits[split], labels)
    return dataclasses.replace(dataset, rows=rows, splits=splits)


def trained_on_shuffled_labels(classifier: Classifier, dataset: Dataset) -> Classifier:
    """The classifier trained from its beginning on shuffled labels, by the same config; as long as the run took.

    Source: Adebayo et al. 2018, arXiv:1810.03292, section 3.2 (data randomisation test).

    Args:
        classifier: of a run.
        dataset: that it was trained on.
    """
    config, backbone = classifier.config, classifier.backbone
    if classifier.stage == "images" and config.model == "transfer":
        backbone = load_backbone(config)  # the run's own was fine-tuned
    trainer = train_svm if config.head in SVM else train
    with tempfile.TemporaryDirectory() as folder:
        trained = trainer(
            dataclasses.replace(config, track="none"), with_shuffled_labels(dataset), Path(folder), pretrained=backbone
        )
    return dataclasses.replace(classifier, variables=trained.variables, stage=trained.stage)


def _relabelled(row: ManifestRow, label: int) -> ManifestRow:
    return dataclasses.replace(row, label=label)
