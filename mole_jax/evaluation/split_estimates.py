"""The estimates of one set of predictions: threshold-free ones, and those at frozen thresholds, with intervals."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from jaxtyping import Bool, Float, Integer

from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import AtPoint, Split, ThresholdFree
from mole_jax.evaluation.schema import Counts as ImageCounts
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.area import cluster_auroc, cluster_partial_auroc
from mole_jax.evaluation.statistics.counts import Counter, Counts
from mole_jax.evaluation.statistics.delong import delong_auroc
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import Estimate, bootstrapped, mean_of, proportion, undefined

WHY_UNDEFINED = {
    "precision": "no image is called positive",
    "npv": "no image is called negative",
    "sensitivity": "there is no melanoma",
    "average_precision": "there is no melanoma",
    "specificity": "there is no image without melanoma",
    "f1": "there is no melanoma and none is called",
    "balanced_accuracy": "only one class is present",
    "auroc": "only one class is present",
    "partial_auroc": "only one class is present",
}

# They depend on the share of melanomas, so their intervals let it vary.
RESAMPLED = {"average_precision": metrics.average_precision, "brier": metrics.brier, "log_loss": metrics.log_loss}


def split_estimates(predictions: Predictions, points: Sequence[OperatingPoint], *, resamples: int, seed: int) -> Split:
    """What `metrics.json` says of one split; see `schema.md`.

    Args:
        predictions: the split.
        points: frozen thresholds; those without a threshold are passed on with their reason.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    groups = group_images(predictions.group, predictions.label)
    thresholds = [p.threshold for p in points if p.threshold is not None]
    free, rows = estimates_of(predictions.score, predictions.label, groups, thresholds, resamples=resamples, seed=seed)
    whole = {
        **describe(predictions, groups),
        **free,
        "auroc_delong": delong_auroc(predictions.score, predictions.label),
        "operating_points": at_points(points, rows),
    }
    return cast(Split, whole)


def at_points(points: Sequence[OperatingPoint], rows: Sequence[AtPoint]) -> dict[str, AtPoint]:
    """Operating point -> its row, those without a threshold with their reason instead."""
    rest = iter(rows)
    return {p.name: {"threshold": None, "reason": p.reason} if p.threshold is None else next(rest) for p in points}


def estimates_of(
    score: Float[np.ndarray, " n"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    thresholds: Sequence[float],
    *,
    resamples: int,
    seed: int,
) -> tuple[ThresholdFree, list[AtPoint]]:
    """The threshold-free estimates, and for each threshold itself, the confusion matrix and its estimates.

    Args:
        score: in [0, 1].
        label: 0 or 1.
        groups: the lesions.
        thresholds: frozen.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    cuts = np.array(thresholds, dtype=np.float64)

    def statistics(counts: Counts) -> Mapping[str, Float[np.ndarray, "..."]]:
        cells = metrics.confusion(counts, cuts)
        free = {name: of(counts) for name, of in RESAMPLED.items()}
        return {**free, **cells, "f1": metrics.at_threshold(**cells)["f1"]}

    counter = Counter(score, label, groups)
    value = counter.value(statistics)
    samples = counter.bootstrap(statistics, resamples=resamples, seed=seed)
    drawn = {name: _drawn(name, float(value[name]), samples[name], groups) for name in RESAMPLED}
    free: ThresholdFree = {
        "auroc": cluster_auroc(score, label, groups),
        "partial_auroc": cluster_partial_auroc(score, label, groups),
        "average_precision": drawn["average_precision"],
        "brier": drawn["brier"],
        "log_loss": drawn["log_loss"],
    }
    rows: list[AtPoint] = []
    for i, threshold in enumerate(thresholds):
        shares = shares_at(score >= threshold, label == 1, groups)
        tp, fp, fn, tn = (int(value[name][i]) for name in ("tp", "fp", "fn", "tn"))
        rows.append(
            {
                "threshold": threshold,
                "confusion": {"tp": tp, "fp": fp, "fn": fn, "tn": tn},
                "accuracy": shares["accuracy"],
                "precision": shares["precision"],
                "sensitivity": shares["sensitivity"],
                "specificity": shares["specificity"],
                "f1": _drawn("f1", float(value["f1"][i]), samples["f1"][i], groups),
                "npv": shares["npv"],
                "balanced_accuracy": _balanced(shares),
            }
        )
    return free, rows


def describe(predictions: Predictions, groups: Groups) -> ImageCounts:
    """How many images and lesions of each class there are, and what a lesion is here."""
    negative, positive, mixed = np.bincount(groups.stratum, minlength=3).tolist()
    positives = int(predictions.label.sum())
    return {
        "images": predictions.n,
        "positives": positives,
        "negatives": predictions.n - positives,
        "grouped_by": "image_id" if predictions.lesion_id is None else "lesion_id",
        "groups": groups.count,
        "positive_groups": positive,
        "negative_groups": negative,
        "mixed_groups": mixed,
    }


def _drawn(name: str, value: float, samples: Float[np.ndarray, " r"], groups: Groups) -> Estimate:
    return undefined(WHY_UNDEFINED[name]) if np.isnan(value) else bootstrapped(value, samples, groups)


def _balanced(shares: Mapping[str, Estimate]) -> Estimate:
    if shares["sensitivity"]["value"] is None or shares["specificity"]["value"] is None:
        return undefined(WHY_UNDEFINED["balanced_accuracy"])
    return mean_of(shares["sensitivity"], shares["specificity"])


def shares_at(called: Bool[np.ndarray, " n"], positive: Bool[np.ndarray, " n"], groups: Groups) -> dict[str, Estimate]:
    """Accuracy, precision, sensitivity, specificity and NPV.

    Args:
        called: whether each image is called melanoma.
        positive: whether it is one.
        groups: the lesions.
    """
    counted = {
        "accuracy": (called == positive, np.ones_like(positive)),
        "precision": (positive, called),
        "sensitivity": (called, positive),
        "specificity": (~called, ~positive),
        "npv": (~positive, ~called),
    }
    return {
        name: proportion(hit, among, groups) if among.any() else undefined(WHY_UNDEFINED[name])
        for name, (hit, among) in counted.items()
    }
