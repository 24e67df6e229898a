"""A classifier on the images of another dataset: overlap, scores, and metrics at thresholds that stay its own."""

import dataclasses
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal, get_args

import numpy as np
from jaxtyping import Float

from mole_jax.audit.look_alikes import add_look_alikes
from mole_jax.classifier.classifier import Classifier
from mole_jax.classifier.scoring import evaluation_step
from mole_jax.classifier.storage import open_run
from mole_jax.data.dataset import Dataset, open_dataset
from mole_jax.data.overlap import Match, Overlap, find_overlap, with_groups
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.evaluation.clinical import write_calibrated_scores
from mole_jax.evaluation.external import evaluate_external
from mole_jax.evaluation.predictions import read_predictions, write_predictions
from mole_jax.evaluation.repeats import mean_logits
from mole_jax.evaluation.schema import Metrics
from mole_jax.evaluation.summary import write_metrics
from mole_jax.files.changes import remove_file
from mole_jax.files.csv_table import write_rows
from mole_jax.files.sums import claim, refuse_foreign, seal
from mole_jax.placement import one_device
from mole_jax.runs.directory import EXTERNAL, METRICS, predictions_file
from mole_jax.runs.members import classifier_digest, members_of
from mole_jax.runs.predictions import to_predictions
from mole_jax.runs.read import Run, read_runs
from mole_jax.training.predict import predict
from mole_jax.training.preprocessed import as_seen, refuse_without_masks
from mole_jax.training.views import sources_of

OverlapRule = Literal["refuse", "exclude", "allow"]
OVERLAP_RULES: Final[tuple[OverlapRule, ...]] = get_args(OverlapRule)
PREDICTIONS: Final = "predictions.csv"
CALIBRATED: Final = "calibrated_scores.csv"
EXCLUDED: Final = "excluded.csv"
FILES: Final = (PREDICTIONS, CALIBRATED, EXCLUDED, METRICS)


@dataclasses.dataclass(frozen=True)
class Request:
    """What is to be judged by what.

    Attributes:
        run_dir: of a finished run.
        dataset: the name of a prepared dataset.
        data_dir: where it lies; the run's own is looked for there first.
        split: of the dataset; "all" for every image.
        overlap: what to do with images that the run has seen: refuse them all, exclude those, or allow them.
        out: folder for the results; None: external/ in the run directory.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """

    run_dir: Path
    dataset: str
    data_dir: Path
    split: str
    overlap: OverlapRule
    out: Path | None
    resamples: int
    seed: int


def validate(request: Request) -> tuple[Path, Metrics]:
    """Scores and judges the images; gives the folder that it has written, and the metrics.

    Raises:
        UserError: the run is not finished, the dataset is not prepared, or the run has seen some of the images.
    """
    name = request.dataset if request.split == "all" else f"{request.dataset}-{request.split}"
    folder = request.out or request.run_dir / EXTERNAL / name
    refuse_foreign(folder, EXTERNAL, FILES, otherwise="give another --out")
    run = read_runs([request.run_dir], None)[0]
    classifiers = [open_run(member) for member in members_of(request.run_dir)]
    dataset = open_dataset(request.data_dir, request.dataset)
    for each in classifiers:
        refuse_without_masks(each.preprocessor, dataset)
    splits = _splits(dataset, request.split)
    trained_on = _trained_on(run, request)
    overlap = None if trained_on is None else _overlap(trained_on, dataset, splits, request)
    excluded = overlap.matches if overlap is not None and request.overlap == "exclude" else ()
    left_out = {match.image_id for match in excluded}
    logits = mean_logits([np.concatenate(list(score(each, dataset, splits).values())) for each in classifiers])
    rows = [row for split in splits for row in dataset.rows[split]]
    kept = [i for i, row in enumerate(rows) if row.image_id not in left_out]
    if not kept:
        raise UserError(f"the run knows all {len(rows):,} images of {request.dataset!r}: give other images")
    external = to_predictions([rows[i] for i in kept], logits[kept])
    validation = read_predictions(predictions_file(request.run_dir, "validation"))
    metrics = evaluate_external(
        external,
        validation=validation,
        points=[run.point(name) for name in run.metrics["operating_points"]],
        about=_about(run, dataset, splits, overlap, excluded),
        warnings=_warnings(run, dataset, overlap, excluded),
        leaky=None if overlap is None else bool(overlap.matches) and not excluded,
        resamples=request.resamples,
        seed=request.seed,
    )
    dataset.reading.refuse_change()
    claim(folder, EXTERNAL, FILES, otherwise="give another --out")
    for file in FILES:
        remove_file(folder / file)
    write_predictions(folder / PREDICTIONS, external)
    write_calibrated_scores(folder / CALIBRATED, external, validation)
    if excluded:
        write_rows(folder / EXCLUDED, Match._fields, excluded)
    write_metrics(folder / METRICS, metrics)
    seal(folder, EXTERNAL)
    return folder, metrics


def score(classifier: Classifier, dataset: Dataset, splits: Sequence[Split]) -> dict[Split, Float[np.ndarray, "..."]]:
    """The logits of a dataset's images, as `Classifier.logits` gives them; a frozen backbone's features are stored
    beside the datasets and read from there the next time, unless the run was told not to.

    Args:
        classifier: of a finished run.
        dataset: any prepared one.
        splits: of it.

    Returns:
        For each split the logits, in the order of its records.
    """
    network, placement = classifier.network, one_device()
    views, stored = classifier.config.views, network.frozen is not None
    step = placement.jit(evaluation_step(network.model, network.normalize, views=views, stored=stored))
    variables = placement.everywhere(classifier.variables)
    wanted = dataclasses.replace(dataset, splits={split: dataset.splits[split] for split in splits})
    wanted = as_seen(wanted, classifier.preprocessor, tell=logging.getLogger(__name__).info)
    sources = sources_of(network, wanted, placement, views=views)
    return {
        split: predict(
            step,
            variables,
            sources[split],
            what=f"scoring {split}",
            placement=placement,
            batch_size=network.batch_size,
        )
        for split in splits
    }


def _splits(dataset: Dataset, split: str) -> list[Split]:
    splits = [name for name in dataset.rows if split in ("all", name)]
    if not splits:
        raise UserError(
            f"{dataset.facts.name!r} has no {split} split; it has {', '.join(dataset.rows)}: give --split=all, or one "
            "of these"
        )
    return splits


def _trained_on(run: Run, request: Request) -> Dataset | None:
    """The dataset of the run; None where it is not at hand and the user goes on without."""
    fingerprint = run.environment["dataset_fingerprint"]
    for data_dir in (request.data_dir, Path(run.config["data_dir"])):
        try:
            found = open_dataset(data_dir, run.config["dataset"])
        except UserError:
            continue
        if found.facts.fingerprint == fingerprint:
            return found
    if request.overlap != "allow":
        name, own = run.config["dataset"], run.config["data_dir"]
        raise UserError(
            f"the dataset {name!r} that {request.run_dir} was trained on (fingerprint {fingerprint[:12]}) is not in "
            f"{str(request.data_dir)!r} nor in {own!r}, and is needed to see whether it has seen these images; prepare "
            "it again, or give --overlap=allow to go on unchecked"
        )
    return None


def _overlap(trained_on: Dataset, dataset: Dataset, splits: Sequence[Split], request: Request) -> Overlap:
    """What the run has seen; the search by looks takes minutes and comes last."""
    overlap = find_overlap(trained_on, dataset, splits)
    if request.overlap != "refuse" or not overlap.matches:
        overlap = add_look_alikes(overlap, trained_on, dataset, splits)
    overlap = with_groups(overlap, dataset, splits)
    if overlap.matches and request.overlap == "refuse":
        raise UserError(
            f"{overlap.describe()}; their scores would flatter: give --overlap=exclude to leave them out, or "
            "--overlap=allow to judge them too and have the results stamped leaky"
        )
    return overlap


def _about(
    run: Run, dataset: Dataset, splits: Sequence[Split], overlap: Overlap | None, excluded: Sequence[Match]
) -> dict[str, Any]:
    facts = dataset.facts
    return {
        "run": run.name,
        "classifier": classifier_digest(run.path),
        "trained_on": run.config["dataset"],
        "trained_on_fingerprint": run.environment["dataset_fingerprint"],
        "dataset": facts.name,
        "dataset_fingerprint": facts.fingerprint,
        "splits": list(splits),
        "synthetic": facts.layout == "synthetic",
        "overlap": None if overlap is None else overlap.to_dict(),
        "excluded": len(excluded),
    }


def _warnings(run: Run, dataset: Dataset, overlap: Overlap | None, excluded: Sequence[Match]) -> list[str]:
    warnings = []
    if overlap is None:
        warnings.append(
            f"LEAKAGE NOT EXCLUDED: the images that the run was trained on ({run.config['dataset']}) are not at hand, "
            "so it is not known whether it has seen these"
        )
    elif excluded:
        warnings.append(f"EXCLUDED: {overlap.describe()}; these are left out of every number ({EXCLUDED} names them)")
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
