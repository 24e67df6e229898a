"""The estimates of one set of predictions: threshold-free ones, and those at frozen thresholds, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter, Counts
from mole_jax.evaluation.statistics.delong import delong_auroc
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import Estimate, proportion, resampled, undefined

WHY_UNDEFINED = {
    "precision": "no image is called positive",
    "npv": "no image is called negative",
    "sensitivity": "there is no melanoma",
    "average_precision": "there is no melanoma",
    "specificity": "there is no mole",
    "f1": "there is no melanoma and none is called",
    "balanced_accuracy": "only one class is present",
    "auroc": "only one class is present",
    "partial_auroc": "only one class is present",
}


def split_estimates(
    predictions: Predictions, points: Sequence[OperatingPoint], *, resamples: int, seed: int
) -> dict[str, Any]:
    """What `metrics.json` says of one split; see `schema.md`.

    Args:
        predictions: the split.
        points: frozen thresholds; those without a threshold are passed on with their reason.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    groups = group_images(predictions.group, predictions.label)
    thresholds = np.array([p.threshold for p in points if p.threshold is not None], dtype=np.float64)

    def statistics(counts: Counts) -> Mapping[str, Float[np.ndarray, "..."]]:
        cells = metrics.confusion(counts, thresholds)
        return {**metrics.threshold_free(counts), **cells, **metrics.at_threshold(**cells)}

    counter = Counter(predictions.score, predictions.label, groups)
    value = counter.value(statistics)
    samples = counter.bootstrap(statistics, resamples=resamples, seed=seed)
    free = {name: _estimate(name, float(value[name]), samples[name], groups) for name in metrics.THRESHOLD_FREE}
    free["auroc_delong"] = delong_auroc(predictions.score, predictions.label)
    at: dict[str, Any] = {}
    row = 0
    for p in points:
        if p.threshold is None:
            at[p.name] = {"threshold": None, "reason": p.reason}
            continue
        cells = {name: int(value[name][row]) for name in ("tp", "fp", "fn", "tn")}
        at[p.name] = {"threshold": p.threshold, "confusion": cells}
        for name in metrics.AT_THRESHOLD:
            at[p.name][name] = _estimate(name, float(value[name][row]), samples[name][row], groups)
        drawn = {name: samples[name][row] for name in metrics.AT_THRESHOLD}
        at[p.name] |= _proportions(cells, predictions, groups, p.threshold, drawn)
        row += 1
    return {**describe(predictions, groups), **free, "operating_points": at}


def describe(predictions: Predictions, groups: Groups) -> dict[str, Any]:
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


def _estimate(name: str, value: float, samples: Float[np.ndarray, " r"], groups: Groups) -> Estimate:
    return undefined(WHY_UNDEFINED[name]) if np.isnan(value) else resampled(value, samples, groups)


def _proportions(
    cells: Mapping[str, int],
    predictions: Predictions,
    groups: Groups,
    threshold: float,
    samples: Mapping[str, Float[np.ndarray, " r"]],
) -> dict[str, Estimate]:
    called, positive = predictions.score >= threshold, predictions.label == 1
    counted = {
        "accuracy": (cells["tp"] + cells["tn"], np.ones_like(positive)),
        "precision": (cells["tp"], called),
        "sensitivity": (cells["tp"], positive),
        "specificity": (cells["tn"], ~positive),
        "npv": (cells["tn"], ~called),
    }
    return {
        name: proportion(successes, among, groups, samples[name])
        for name, (successes, among) in counted.items()
        if among.any()
    }
