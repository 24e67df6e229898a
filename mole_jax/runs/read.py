"""Reads a run directory. Everything on the page starts from these files."""

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Float

from mole_jax.data.dataset import Dataset, open_dataset
from mole_jax.data.facts import DatasetFacts, read_facts
from mole_jax.data.manifest import read_manifest
from mole_jax.data.versions import dataset_directory
from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions, read_predictions
from mole_jax.evaluation.schema import SCHEMA, Metrics
from mole_jax.evaluation.summary import renewed
from mole_jax.files.reading import read_record
from mole_jax.files.sums import verify
from mole_jax.runs.directory import CONFIG, ENVIRONMENT, EXTERNAL, METRICS, verify_run
from mole_jax.runs.log import read_steps
from mole_jax.runs.members import classifier_digest

AGAIN: Final = "restore it, or run the experiment again"
REQUIRED = ("config.json", "environment.json", "metrics.json", "predictions/validation.csv", "predictions/test.csv")


@dataclass(frozen=True)
class Images:
    """The dataset that a run was trained on, where it is at hand."""

    directory: Path | None
    test_rows: dict[str, int]  # image_id -> record of the test split
    facts: DatasetFacts | None
    reason: str  # why it is not at hand, one sentence; else empty


@dataclass(frozen=True)
class External:
    """A run's results on images of another dataset."""

    name: str  # of the dataset, and its split where it was not all; says so where the run has seen the images
    key: str  # for file names, unique in the run
    metrics: dict[str, Any]
    predictions: Predictions


@dataclass(frozen=True)
class Run:
    """What a run directory holds."""

    name: str  # for people, unique in the report; says so in every figure and table where the run is leaky
    key: str  # for file names, unique in the report
    path: Path  # the directory
    config: dict[str, Any]
    environment: dict[str, Any]
    metrics: Mapping[str, Any]  # metrics.json, made again where it has an older schema
    epochs: list[dict[str, Any]]  # the lines of metrics.jsonl that end an epoch
    test: Predictions
    weight_picture: Float[np.ndarray, "224 224 3"] | None
    images: Images
    external: Sequence[External] = ()

    @property
    def synthetic(self) -> bool:
        """Whether the lesions are drawn."""
        return self.config["dataset"] == "synthetic" or (
            self.images.facts is not None and self.images.facts.layout == "synthetic"
        )

    @property
    def leaks(self) -> list[str]:
        """Why the figures flatter; empty where nothing is known against them."""
        return [warning for warning in self.metrics["warnings"] if warning.startswith("LEAK")]

    @property
    def main(self) -> str:
        """The name of the main operating point."""
        return str(self.metrics["main_operating_point"])

    @property
    def at(self) -> dict[str, Any]:
        """The test figures at each operating point."""
        points: dict[str, Any] = self.metrics["splits"]["test"]["operating_points"]
        return points

    def point(self, name: str) -> OperatingPoint:
        """An operating point by its name."""
        return OperatingPoint(**self.metrics["operating_points"][name])


def read_runs(paths: Sequence[Path], data_dir: Path | None) -> list[Run]:
    """Reads run directories.

    Args:
        paths: the directories.
        data_dir: where prepared datasets lie; None: where each run found its own.

    Raises:
        UserError: none is given, one is given twice, or one is not a finished run; says what is missing.
    """
    if not paths:
        raise UserError("no run directory is given; give at least one, --runs=runs/NAME")
    resolved = [path.resolve() for path in paths]
    for i, path in enumerate(resolved):
        if path in resolved[:i]:
            raise UserError(f"{paths[i]} is given twice; give each run directory once")
    names = [path.name for path in resolved]
    if len(set(names)) < len(names):
        names = [str(path) for path in resolved]
    return [_read_run(*parts, data_dir) for parts in zip(paths, names, keys_of(names), strict=True)]


def dataset_of(run: Run) -> Dataset:
    """Opens the dataset that a run was trained on, all of it.

    Raises:
        UserError: it is not at hand.
    """
    if run.images.directory is None:
        raise UserError(
            f"the images of {run.config['dataset']!r} that {run.path} was tested on are needed and not at hand "
            f"({run.images.reason.rstrip('.')}); give --data_dir, or prepare the dataset again"
        )
    return open_dataset(run.images.directory.parents[1], run.config["dataset"])


def keys_of(names: Sequence[str]) -> list[str]:
    """For each name what it is called in names of files; no two are the same."""
    keys: list[str] = []
    for name in names:
        slug = re.sub(r"[^A-Za-z0-9_-]+", "-", name).strip("-") or "run"
        keys.append(slug if slug not in keys else f"{slug}-{len(keys)}")
    return keys


def _read_run(path: Path, name: str, key: str, data_dir: Path | None) -> Run:
    if not path.is_dir():
        raise UserError(f"there is no directory {path}; give run directories, --runs=runs/NAME")
    if missing := [file for file in REQUIRED if not (path / file).is_file()]:
        raise UserError(
            f"{path} is not the directory of a finished run: it has no {', no '.join(missing)}; "
            "python -m experiments.run writes them at its end"
        )
    verify_run(path)
    config: dict[str, Any] = read_record(path / CONFIG, dict[str, Any], remedy=AGAIN)
    environment: dict[str, Any] = read_record(path / ENVIRONMENT, dict[str, Any], remedy=AGAIN)
    metrics = read_metrics(path / METRICS)
    files = {split: path / f"predictions/{split}.csv" for split in ("train", "validation", "test")}
    splits = {split: read_predictions(file) for split, file in files.items() if file.is_file()}
    picture = path / "weight_picture.npy"
    return Run(
        name=f"{name} (leaky)" if metrics["leaky"] else name,
        key=key,
        path=path,
        config=config,
        environment=environment,
        metrics=renewed(metrics, splits),
        epochs=read_epochs(path / "metrics.jsonl"),
        test=splits["test"],
        weight_picture=np.load(picture, allow_pickle=False) if picture.is_file() else None,
        images=_find_images(data_dir or Path(config["data_dir"]), config["dataset"], environment),
        external=_read_external(path),
    )


def _read_external(run_dir: Path) -> list[External]:
    found, now = [], classifier_digest(run_dir)
    for path in sorted((run_dir / EXTERNAL).glob(f"*/{METRICS}")):
        name = path.parent.name
        again = f"python -m experiments.evaluate --run={run_dir} --dataset={name} makes it again"
        verify(path.parent, EXTERNAL, (METRICS, "predictions.csv"), again=again)
        metrics = read_metrics(path)
        if metrics["external"].get("classifier", now) != now:
            logging.getLogger(__name__).warning(
                "%s was made with an earlier classifier of this run and is left out; %s", path.parent, again
            )
            continue
        found.append(
            External(
                name=f"{name} (leaky)" if metrics["leaky"] else name,
                key=name,
                metrics=metrics,
                predictions=read_predictions(path.with_name("predictions.csv")),
            )
        )
    return found


def read_metrics(path: Path) -> dict[str, Any]:
    """Reads a metrics.json of this schema, each value of its type, or of an older one, as it is.

    Raises:
        UserError: it is missing, damaged or of another shape; says where.
    """
    found: dict[str, Any] = read_record(path, dict[str, Any], remedy=AGAIN)
    if found.get("schema") == SCHEMA:
        read_record(path, Metrics, remedy=AGAIN)
    elif not isinstance(found.get("schema"), int) or not {"leaky", "protocol", "operating_points"} <= found.keys():
        raise UserError(f"{path} is no metrics.json of any release; {AGAIN}")
    return found


def read_epochs(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl that end an epoch; none where there is no file."""
    return [values for values in read_steps(path) if "epoch" in values]


def _find_images(data_dir: Path, dataset: str, environment: dict[str, Any]) -> Images:
    try:
        directory = dataset_directory(data_dir, dataset)
        facts = read_facts(directory)
    except UserError:
        return Images(None, {}, None, f"The dataset {dataset} is not at hand (looked in {data_dir}); give --data_dir.")
    if facts.fingerprint != environment.get("dataset_fingerprint"):
        return Images(
            None, {}, None, f"The dataset {dataset} in {data_dir} is not the one that this run was made with."
        )
    test = [row for row in read_manifest(directory) if row.split == "test"]
    return Images(directory, {row.image_id: i for i, row in enumerate(test)}, facts, "")
