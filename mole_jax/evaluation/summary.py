"""From predictions to the dictionary that is written as metrics.json; `schema.md` describes it."""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mole_jax.errors import UserError
from mole_jax.evaluation.clinical import clinical_estimates
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
from mole_jax.files.writing import write_text

RESAMPLES = 2000
# Honest published results on dermoscopy end below this (winners of ISIC 2020: .949 on the private test set).
SUSPICIOUS_AUROC = 0.98
UNIT = "lesion, of any class"


def evaluate(
    test: Predictions,
    *,
    validation: Predictions | None = None,
    threshold: float | int | None = None,
    target_sensitivity: Sequence[float] | None = None,
    threshold_confidence: float | None = None,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """Evaluates one file of test predictions.

    Args:
        test: what is judged.
        validation: where thresholds are chosen and the temperature is fitted. Never the test set.
        threshold: a threshold named by the user, the main operating point where given.
        target_sensitivity: for the operating points chosen on validation; None: .90, .95, .98.
        threshold_confidence: for a second threshold a target, see `choose_operating_points`; None: no such thresholds.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Returns:
        See `schema.md`. Without validation and threshold there are threshold-free estimates only.

    Raises:
        UserError: target sensitivities or a confidence without validation; an impossible threshold, sensitivity,
            confidence or number of resamples.
    """
    if target_sensitivity is not None and validation is None:
        raise UserError(
            f"target_sensitivity={','.join(map(str, target_sensitivity))} needs validation predictions to choose the "
            "threshold on, never the test set; give --validation=FILE, or --threshold=NUMBER instead"
        )
    if threshold_confidence is not None and validation is None:
        raise UserError(
            f"threshold_confidence={threshold_confidence} needs validation predictions to choose thresholds on; give "
            "--validation=FILE, or leave it away"
        )
    points = [] if threshold is None else [given_threshold(threshold)]
    if validation is not None:
        points += choose_operating_points(
            validation, target_sensitivity or TARGET_SENSITIVITIES, confidence=threshold_confidence
        )
    splits = {"test": test} if validation is None else {"validation": validation, "test": test}
    return summarise(splits, points, leaky=None, protocol=None, resamples=resamples, seed=seed)


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
        scaled_on: what temperature and Platt scaling are fitted on; None: the split `validation`.
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
    estimates["test"].update(clinical_estimates(splits["test"], scaled_on, main, resamples=resamples, seed=seed))  # type: ignore[typeddict-item]
    return {
        "schema": SCHEMA,
        "protocol": protocol,
        "leaky": leaky,
        "leak": leak,
        "level": LEVEL,
        "bootstrap": {"resamples": resamples, "seed": seed, "unit": UNIT, "interval": "expanded percentile"},
        "main_operating_point": main.name if main else None,
        "operating_points": {point.name: asdict(point) for point in points},  # type: ignore[misc]
        "splits": estimates,
        "shared_groups": shared,
        "warnings": _warnings(estimates, shared, points, stamp=stamp, resamples=resamples),
    }


def _warnings(
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
        warnings.append(
            f"LEAKAGE: {pair['groups']} lesions lie in both {first} and {second} "
            f"({pair['affected_images']} images of {second}), for example {', '.join(pair['examples'])}"
        )
    for name, split in estimates.items():
        if split["grouped_by"] == "image_id":
            warnings.append(
                f"{name} has no lesion_id: every image counts as a lesion of its own; "
                "intervals are too narrow if lesions repeat"
            )
        if split["resamples"] < resamples:
            warnings.append(f"{name} is large: {split['resamples']} bootstrap resamples instead of {resamples}")
    for names in coinciding(points):
        words = [name.replace("_", " ") for name in names]
        same = f"{', '.join(words[:-1])} and {words[-1]}"
        warnings.append(f"{same} are one and the same threshold: validation has too few melanomas to part them")
    auroc = estimates["test"]["auroc"]["value"]
    if auroc is not None and auroc >= SUSPICIOUS_AUROC and not stamp:
        warnings.append(f"test AUROC {auroc:.3f} is above honest published results for dermoscopy; look for leakage")
    return warnings
