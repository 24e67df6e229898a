"""From predictions to the dictionary that is written as metrics.json; `schema.md` describes it."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mole_jax.errors import UserError
from mole_jax.evaluation.clinical import clinical_estimates
from mole_jax.evaluation.costs import at_budget, expected_cost
from mole_jax.evaluation.cross_fitting import FOLDS, cross_fitted_points, why_not
from mole_jax.evaluation.doubts import doubts
from mole_jax.evaluation.leakage import shared_groups
from mole_jax.evaluation.lesions import lesion_estimates
from mole_jax.evaluation.operating_points import (
    TARGET_SENSITIVITIES,
    OperatingPoint,
    choose_operating_points,
    coinciding,
    given_threshold,
    main_point,
)
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import SCHEMA, Metrics, Shared, Split
from mole_jax.evaluation.split_estimates import split_estimates
from mole_jax.evaluation.statistics.counts import affordable_resamples
from mole_jax.evaluation.statistics.intervals import LEVEL
from mole_jax.evaluation.subgroups import INTERSECTIONS, strange_ages
from mole_jax.files.writing import write_text

RESAMPLES = 2000


def evaluate(
    test: Predictions,
    *,
    validation: Predictions | None = None,
    train: Predictions | None = None,
    threshold: float | int | None = None,
    target_sensitivity: Sequence[float] | None = None,
    threshold_confidence: float | None = None,
    intersections: Sequence[tuple[str, str]] = INTERSECTIONS,
    costs: tuple[float, float] | None = None,
    budgets: Sequence[int] = (),
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """Evaluates one file of test predictions.

    Args:
        test: what is judged.
        validation: where thresholds are chosen and scalings fitted; None: both are cross-fitted on `test`, in folds of
            whole patients or lesions, where it has enough of them. Never the test set.
        train: what the model was trained on, where it is known: shown as optimistic, and what it shares is told.
        threshold: a threshold named by the user, the main operating point where given.
        target_sensitivity: for the operating points; None: .90, .95, .98.
        threshold_confidence: for a second threshold a target, see `choose_operating_points`; None: no such thresholds.
        intersections: pairs of attributes whose joint levels are subgroups too.
        costs: of a miss and of a false alarm, for the expected cost of each threshold; None: no such numbers.
        budgets: numbers of images with the highest scores, for what looking at them finds.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Returns:
        See `schema.md`. Without validation, threshold and enough lesions there are threshold-free estimates only.

    Raises:
        UserError: target sensitivities or a confidence without validation or enough lesions; an impossible threshold,
            sensitivity, confidence, cost, budget or number of resamples.
    """
    points = [] if threshold is None else [given_threshold(threshold)]
    targets = TARGET_SENSITIVITIES if target_sensitivity is None else target_sensitivity
    splits = {"validation": validation, "test": test}
    if train is not None:
        splits = {"train": train, **splits}
    if validation is not None:
        points += choose_operating_points(validation, targets, confidence=threshold_confidence)
    elif why_not(test) is None:
        points += cross_fitted_points(test, targets, confidence=threshold_confidence)
    elif target_sensitivity is not None or threshold_confidence is not None:
        raise UserError(
            f"{test.source} has {why_not(test)}, so no threshold can be chosen on it for a sensitivity; give "
            "--validation=FILE, or --threshold=NUMBER instead"
        )
    metrics = summarise(
        {name: split for name, split in splits.items() if split is not None},
        points,
        leaky=None,
        protocol=None,
        intersections=intersections,
        resamples=resamples,
        seed=seed,
    )
    if validation is None and (reason := why_not(test)):
        metrics["warnings"].append(f"no validation predictions to choose thresholds and calibration on, and {reason}")
    judged, drawn = metrics["splits"]["test"], {"resamples": resamples, "seed": seed}
    if costs is not None:
        judged["expected_cost"] = expected_cost(test, points, miss=costs[0], false_alarm=costs[1], **drawn)
    if budgets:
        judged["budgets"] = [at_budget(test, budget, **drawn) for budget in budgets]
    return metrics


def evaluate_run(
    splits: Mapping[str, Predictions],
    *,
    leaky: bool,
    protocol: str,
    leak: str = "",
    target_sensitivity: Sequence[float] = TARGET_SENSITIVITIES,
    threshold_confidence: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """Evaluates a run: thresholds chosen on validation, estimates of train, validation and test.

    Args:
        splits: `train`, `validation` and `test`; train may be absent.
        leaky: whether estimates on these splits flatter.
        protocol: how the splits were made, such as grouped or paper.
        leak: why they flatter, in one phrase.
        target_sensitivity: for the operating points chosen on validation.
        threshold_confidence: for a second threshold a target, see `choose_operating_points`; None: no such thresholds.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Returns:
        See `schema.md`.

    Raises:
        UserError: validation or test is missing, or there is another split.
    """
    if not {"validation", "test"} <= set(splits) <= {"train", "validation", "test"}:
        raise UserError(f"the splits are {', '.join(splits)}; give validation and test, and train if you like")
    points = choose_operating_points(splits["validation"], target_sensitivity, confidence=threshold_confidence)
    ordered = {name: splits[name] for name in ("train", "validation", "test") if name in splits}
    return summarise(ordered, points, leaky=leaky, protocol=protocol, leak=leak, resamples=resamples, seed=seed)


def renewed(metrics: Mapping[str, Any], splits: Mapping[str, Predictions]) -> Mapping[str, Any]:
    """The metrics of a run as they are, or made again from its predictions where they have an older schema.

    Args:
        metrics: of metrics.json, of this schema or an older one.
        splits: the run's predictions: `validation` and `test`, and `train` where it is there.
    """
    if metrics["schema"] == SCHEMA:
        return metrics
    names = [name for name in metrics["operating_points"] if name.startswith("sensitivity_")]
    return evaluate_run(
        splits,
        leaky=metrics["leaky"],
        protocol=metrics["protocol"],
        leak=metrics.get("leak", ""),
        target_sensitivity=[float(name.removeprefix("sensitivity_")) for name in names],
        resamples=metrics["bootstrap"]["resamples"],
        seed=metrics["bootstrap"]["seed"],
    )


def write_metrics(path: str | os.PathLike[str], metrics: Mapping[str, Any]) -> None:
    """Writes metrics.json, all of it or nothing."""
    write_text(Path(path), json.dumps(metrics, indent=2, allow_nan=False) + "\n")


def summarise(
    splits: Mapping[str, Predictions],
    points: Sequence[OperatingPoint],
    *,
    leaky: bool | None,
    protocol: str | None,
    leak: str = "",
    scaled_on: Predictions | None = None,
    intersections: Sequence[tuple[str, str]] = INTERSECTIONS,
    resamples: int,
    seed: int,
) -> Metrics:
    """The dictionary of metrics.json, from splits and frozen thresholds; see `schema.md`.

    Args:
        splits: name -> predictions, `test` among them.
        points: frozen thresholds.
        leaky: whether the estimates flatter; None where that is not known.
        protocol: how the splits were made; None where that is not known.
        leak: why the estimates flatter, one phrase.
        scaled_on: what temperature and Platt scaling are fitted on; None: the split `validation`, else cross-fitted.
        intersections: pairs of attributes whose joint levels are subgroups too.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Raises:
        UserError: an impossible number of resamples.
    """
    if resamples < 2:
        raise UserError(f"resamples={resamples} gives no interval; give at least 2, usually 2000")
    shared = shared_groups(splits)
    estimates: dict[str, Split] = {}
    for name, predictions in splits.items():
        split = split_estimates(predictions, points, resamples=resamples, seed=seed)
        if (by_lesion := lesion_estimates(predictions, points)) is not None:
            split["by_lesion"] = by_lesion
        split["resamples"] = affordable_resamples(predictions.n, resamples)
        # Thresholds chosen on validation flatter validation's own estimates.
        split["optimistic"] = name == "train" or (name == "validation" and bool(points))
        estimates[name] = split
    main = main_point(points)
    reason = f" ({leak})" if leak else ""
    stamp = f"LEAKY: protocol {protocol!r}{reason}; its numbers say nothing of new patients" if leaky else ""
    scaled_on = scaled_on or splits.get("validation")
    clinical = clinical_estimates(
        splits["test"], scaled_on, main, intersections=intersections, resamples=resamples, seed=seed
    )
    estimates["test"].update(clinical)  # type: ignore[typeddict-item]
    return {
        "schema": SCHEMA,
        "protocol": protocol,
        "leaky": leaky,
        "leak": leak,
        "level": LEVEL,
        "bootstrap": {
            "resamples": resamples,
            "seed": seed,
            "unit": f"{splits['test'].groups.unit}, of any class",
            "interval": "expanded percentile",
        },
        "main_operating_point": main.name if main else None,
        "operating_points": {point.name: point.record() for point in points},
        "splits": estimates,
        "shared_groups": shared,
        "warnings": _warnings(splits, estimates, shared, points, stamp=stamp, resamples=resamples),
    }


def _warnings(
    splits: Mapping[str, Predictions],
    estimates: Mapping[str, Split],
    shared: Sequence[Shared],
    points: Sequence[OperatingPoint],
    *,
    stamp: str,
    resamples: int,
) -> list[str]:
    warnings = [stamp] if stamp else []
    for pair in shared:
        first, second = pair["splits"]
        what = f"{pair['groups']:,} {splits[second].unit}s" if pair["groups"] else f"{pair['images']:,} images"
        warnings.append(
            f"LEAKAGE: {what} lie in both {first} and {second} "
            f"({pair['affected_images']} images of {second}), for example {', '.join(pair['examples'])}"
        )
    cross_fitted = any(point.folds for point in points)
    if cross_fitted:
        unit = splits["test"].unit
        warnings.append(
            f"no validation predictions: thresholds and calibration are cross-fitted in {FOLDS} folds of "
            f"{'images' if unit == 'image' else f'whole {unit}s'}, so that each image is judged by what was chosen "
            "without it"
        )
    for name, split in estimates.items():
        warnings += [f"{name}: {note}" for note in splits[name].notes]
        if split["resamples"] < resamples:
            warnings.append(f"{name} is large: {split['resamples']} bootstrap resamples instead of {resamples}")
    if alone := [name for name, split in estimates.items() if split["grouped_by"] == "image_id"]:
        warnings.append(
            f"{' and '.join(alone)} {'has' if len(alone) == 1 else 'have'} no lesion_id and no patient_id: every image "
            "counts as a lesion of its own; intervals are too narrow if lesions repeat"
        )
    for names in coinciding(points):
        words = [name.replace("_", " ") for name in names]
        same = f"{', '.join(words[:-1])} and {words[-1]}"
        where = "the file" if cross_fitted else "validation"
        warnings.append(f"{same} are one and the same threshold: {where} has too few melanomas to part them")
    test = splits["test"]
    if not stamp:
        warnings += doubts(test, estimates["test"]["auroc"])
    return warnings + strange_ages(test)
