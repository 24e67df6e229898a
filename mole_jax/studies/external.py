"""A trained run on the images of another dataset: overlap, scores, and metrics at thresholds that stay its own."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from mole_jax.audit.look_alikes import add_look_alikes
from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.weights import Pretrained
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset, open_dataset
from mole_jax.data.overlap import Overlap, find_overlap
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.evaluation.clinical import write_calibrated_scores
from mole_jax.evaluation.external import evaluate_external
from mole_jax.evaluation.predictions import read_predictions, write_predictions
from mole_jax.evaluation.schema import Metrics
from mole_jax.evaluation.summary import write_metrics
from mole_jax.runs.identity import refuse_changed_weights
from mole_jax.runs.predictions import to_predictions
from mole_jax.runs.read import Run, read_runs
from mole_jax.training.scoring import score


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be judged by what.

    Attributes:
        run_dir: of a finished run.
        dataset: the name of a prepared dataset.
        data_dir: where it lies; the run's own is looked for there first.
        split: of the dataset; "all" for every image.
        weights: where the run's pretrained weights lie now, if not where they lay.
        allow_overlap: go on although the run has seen some of the images, or that cannot be checked.
        out: folder for the results; None: external/ in the run directory.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """

    run_dir: Path
    dataset: str
    data_dir: Path
    split: str
    weights: str | None
    allow_overlap: bool
    out: Path | None
    resamples: int
    seed: int


def validate(request: Request) -> tuple[Path, Metrics]:
    """Scores and judges the images; gives the folder that it has written, and the metrics.

    Raises:
        UserError: the run is not finished, the dataset is not prepared, the weights have changed, or the run has seen
            some of the images.
    """
    run = read_runs([request.run_dir], None)[0]
    config = RunConfig.from_dict({**RunConfig().to_dict(), **run.config})
    dataset = open_dataset(request.data_dir, request.dataset)
    splits = _splits(dataset, request.split)
    trained_on = _trained_on(run, config, request)
    overlap = None if trained_on is None else _overlap(trained_on, dataset, splits, allowed=request.allow_overlap)
    logits = score(
        request.run_dir,
        config,
        dataset,
        splits,
        train_images=run.metrics["splits"]["train"]["images"],
        channel_mean=trained_on.facts.channel_mean if trained_on else [],
        pretrained=_pretrained(run, config, request),
    )
    rows = [row for split in splits for row in dataset.rows[split]]
    external = to_predictions(rows, np.concatenate([logits[split] for split in splits]))
    validation = read_predictions(request.run_dir / "predictions" / "validation.csv")
    metrics = evaluate_external(
        external,
        validation=validation,
        points=[run.point(name) for name in run.metrics["operating_points"]],
        about=_about(run, dataset, splits, overlap),
        warnings=_warnings(run, dataset, overlap),
        leaky=None if overlap is None else bool(overlap.matches),
        resamples=request.resamples,
        seed=request.seed,
    )
    name = request.dataset if request.split == "all" else f"{request.dataset}-{request.split}"
    folder = request.out or request.run_dir / "external" / name
    folder.mkdir(parents=True, exist_ok=True)
    write_predictions(folder / "predictions.csv", external)
    write_calibrated_scores(folder / "calibrated_scores.csv", external, validation)
    write_metrics(folder / "metrics.json", metrics)
    return folder, metrics


def _splits(dataset: Dataset, split: str) -> list[Split]:
    splits = [name for name in dataset.rows if split in ("all", name)]
    if not splits:
        raise UserError(
            f"{dataset.facts.name!r} has no {split} split; it has {', '.join(dataset.rows)}: give --split=all, or one "
            "of these"
        )
    return splits


def _trained_on(run: Run, config: RunConfig, request: Request) -> Dataset | None:
    """The dataset of the run; None where it is not at hand and the user goes on without."""
    fingerprint = run.environment["dataset_fingerprint"]
    for data_dir in (request.data_dir, Path(config.data_dir)):
        try:
            found = open_dataset(data_dir, config.dataset)
        except UserError:
            continue
        if found.facts.fingerprint == fingerprint:
            return found
    if not request.allow_overlap or config.normalize == "dataset":
        need = "for its channel means" if request.allow_overlap else "to see whether it has seen these images"
        raise UserError(
            f"the dataset {config.dataset!r} that {request.run_dir} was trained on (fingerprint {fingerprint[:12]}) is "
            f"not in {str(request.data_dir)!r} nor in {config.data_dir!r}, and is needed {need}; prepare it again"
            + ("" if request.allow_overlap else ", or give --allow_overlap to go on unchecked")
        )
    return None


def _overlap(trained_on: Dataset, dataset: Dataset, splits: Sequence[Split], *, allowed: bool) -> Overlap:
    """What the run has seen; the search by looks takes minutes and comes last."""
    overlap = find_overlap(trained_on, dataset, splits)
    if allowed or not overlap.matches:
        overlap = add_look_alikes(overlap, trained_on, dataset, splits)
    if overlap.matches and not allowed:
        raise UserError(
            f"{overlap.describe()}; their scores would flatter: leave them out, or give --allow_overlap to have the "
            "results stamped leaky"
        )
    return overlap


def _pretrained(run: Run, config: RunConfig, request: Request) -> Pretrained | None:
    if config.model != "transfer":
        if request.weights is not None:
            raise UserError(f"--weights={request.weights} is for runs of model=transfer; this one is {config.model}")
        return None
    name = request.weights or config.weights
    pretrained = load_pretrained(name, seed=config.seed)
    refuse_changed_weights(
        request.run_dir,
        name,
        run.environment,
        pretrained.describe(),
        otherwise="give --weights=FILE, the file that it was trained with",
    )
    return pretrained


def _about(run: Run, dataset: Dataset, splits: Sequence[Split], overlap: Overlap | None) -> dict[str, Any]:
    facts = dataset.facts
    return {
        "run": run.name,
        "trained_on": run.config["dataset"],
        "trained_on_fingerprint": run.environment["dataset_fingerprint"],
        "dataset": facts.name,
        "dataset_fingerprint": facts.fingerprint,
        "splits": list(splits),
        "synthetic": facts.layout == "synthetic",
        "overlap": None if overlap is None else overlap.to_dict(),
    }


def _warnings(run: Run, dataset: Dataset, overlap: Overlap | None) -> list[str]:
    warnings = []
    if overlap is None:
        warnings.append(
            f"LEAKAGE NOT EXCLUDED: the images that the run was trained on ({run.config['dataset']}) are not at hand, "
            "so it is not known whether it has seen these"
        )
    elif overlap.matches:
        warnings.append(f"LEAKAGE: {overlap.describe()}")
    if dataset.facts.leaky:
        warnings.append(f"LEAKY DATASET: {dataset.facts.name} is stamped leaky ({dataset.facts.leak})")
    if run.metrics["leaky"]:
        warnings.append(
            "the run's thresholds and its calibration come from validation images of a leaky protocol; expect them to "
            "fail here"
        )
    return warnings
