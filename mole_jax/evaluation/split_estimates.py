"""The estimates of one set of predictions: threshold-free ones, and those at frozen thresholds, with intervals."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, cast

import numpy as np
from jaxtyping import Bool, Float, Integer

from mole_jax.evaluation.cross_fitting import cutoff
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import AtPoint, Called, Confusion, GroupedBy, Split, ThresholdFree
from mole_jax.evaluation.schema import Counts as ImageCounts
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.area import cluster_auroc, cluster_partial_auroc
from mole_jax.evaluation.statistics.counts import Counter, Counts, from_positives
from mole_jax.evaluation.statistics.delong import delong_auroc
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import Estimate, bootstrapped, mean_of, proportion, undefined
from mole_jax.evaluation.statistics.sums import Sums

GROUPED_BY: Final[dict[str, GroupedBy]] = {
    "image": "image_id",
    "lesion": "lesion_id",
    "patient": "patient_id",
    "group": "group",
}
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


def split_estimates(predictions: Predictions, points: Sequence[OperatingPoint], *, resamples: int, seed: int) -> Split:
    """What `metrics.json` says of one split; see `schema.md`.

    Args:
        predictions: the split.
        points: frozen thresholds; those without a threshold are passed on with their reason.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    groups = predictions.groups
    cuts = [cutoff(point, predictions) for point in points if point.threshold is not None]
    free, rows = estimates_of(predictions.score, predictions.label, groups, cuts, resamples=resamples, seed=seed)
    whole = {
        **describe(predictions, groups),
        **free,
        "auroc_delong": delong_auroc(predictions.score, predictions.label),
        "operating_points": at_points(points, rows),
    }
    return cast(Split, whole)


def at_points(points: Sequence[OperatingPoint], rows: Sequence[Called]) -> dict[str, AtPoint]:
    """Operating point -> its row, those without a threshold with their reason instead."""
    rest = iter(rows)
    return {
        p.name: {"threshold": None, "reason": p.reason}
        if p.threshold is None
        else cast(AtPoint, {"threshold": p.threshold, **next(rest)})
        for p in points
    }


def estimates_of(
    score: Float[np.ndarray, " n"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    cuts: Sequence[float | Float[np.ndarray, " n"]],
    *,
    resamples: int,
    seed: int,
) -> tuple[ThresholdFree, list[Called]]:
    """The threshold-free estimates, and for each threshold the confusion matrix and its estimates.

    Args:
        score: in [0, 1].
        label: 0 or 1.
        groups: the lesions.
        cuts: frozen thresholds: one for all images, or each image's own.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    sums = Sums(groups)
    sums.add("images", np.ones_like(score))
    sums.add("positive", label)
    sums.add("brier", metrics.squared_errors(score, label))
    sums.add("log_loss", metrics.log_losses(score, label))
    calls = [score >= cut for cut in cuts]
    for i, called in enumerate(calls):
        sums.add(f"called {i}", called)
        sums.add(f"found {i}", called & (label == 1))
    value = {name: float(of[0]) for name, of in sums.value().items()}
    samples = {name: of[0] for name, of in sums.bootstrap(resamples=resamples, seed=seed).items()}
    ranking = Counter(from_positives(score, label), label, groups)
    precision = ranking.value(_ranked)["average_precision"]
    precisions = ranking.bootstrap(_ranked, resamples=resamples, seed=seed)["average_precision"]
    free: ThresholdFree = {
        "auroc": cluster_auroc(score, label, groups),
        "partial_auroc": cluster_partial_auroc(score, label, groups),
        "average_precision": _drawn("average_precision", float(precision), precisions, groups),
        "brier": bootstrapped(value["brier"] / len(score), samples["brier"] / samples["images"], groups),
        "log_loss": bootstrapped(value["log_loss"] / len(score), samples["log_loss"] / samples["images"], groups),
    }
    rows: list[Called] = []
    for i, called in enumerate(calls):
        shares = shares_at(called, label == 1, groups)
        f1, f1s = (_f1(of[f"found {i}"], of[f"called {i}"], of["positive"]) for of in (value, samples))
        rows.append(
            {
                "confusion": confusion_of(called, label == 1),
                "accuracy": shares["accuracy"],
                "precision": shares["precision"],
                "sensitivity": shares["sensitivity"],
                "specificity": shares["specificity"],
                "f1": _drawn("f1", float(f1), f1s, groups),
                "npv": shares["npv"],
                "balanced_accuracy": _balanced(shares),
            }
        )
    return free, rows


def confusion_of(called: Bool[np.ndarray, " n"], positive: Bool[np.ndarray, " n"]) -> Confusion:
    """How many are rightly and wrongly called and not called."""
    return {
        "tp": int((called & positive).sum()),
        "fp": int((called & ~positive).sum()),
        "fn": int((~called & positive).sum()),
        "tn": int((~called & ~positive).sum()),
    }


def _ranked(counts: Counts) -> Mapping[str, Float[np.ndarray, " r"]]:
    return {"average_precision": metrics.average_precision(counts)}


def _f1(found: Any, called: Any, positive: Any) -> Any:
    """NaN where there is no melanoma and none is called."""
    return np.divide(2 * found, called + positive, out=np.full(np.shape(found), np.nan), where=called + positive > 0)


def describe(predictions: Predictions, groups: Groups) -> ImageCounts:
    """How many images and lesions of each class there are, and what a lesion is here."""
    negative, positive, mixed = np.bincount(groups.stratum, minlength=3).tolist()
    positives = int(predictions.label.sum())
    return {
        "images": predictions.n,
        "positives": positives,
        "negatives": predictions.n - positives,
        "grouped_by": GROUPED_BY[predictions.unit],
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
