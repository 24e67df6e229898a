"""Lesions counted once each: what a person has who is told about a lesion, not about each of its photographs."""

from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Integer

from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import ByLesion, LesionAtPoint, LesionEstimates
from mole_jax.evaluation.split_estimates import confusion_of, shares_at
from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.statistics.groups import Groups, group_images

SHOWN: Final = ("precision", "sensitivity", "specificity", "npv")


def lesion_estimates(predictions: Predictions, points: Sequence[OperatingPoint]) -> ByLesion | None:
    """AUROC, and the numbers at each frozen threshold, of one score a lesion: the mean and the maximum of its images'.

    A lesion is a melanoma where any of its images is. The thresholds are those that were chosen for images: the maximum
    of several scores passes one more often than each of them, so it finds more and raises more false alarms.

    Returns:
        None where every lesion has one image, so that there is nothing to tell apart.
    """
    groups = group_images(predictions.group, predictions.label)
    if groups.count == predictions.n:
        return None
    label = (groups.stratum > 0).astype(np.int64)
    images = np.bincount(groups.index)
    highest = np.zeros(groups.count)
    np.maximum.at(highest, groups.index, predictions.score)
    return {
        "lesions": groups.count,
        "melanomas": int(label.sum()),
        "mean": _estimates(groups.sums(predictions.score) / images, label, points),
        "maximum": _estimates(highest, label, points),
    }


def _estimates(
    score: Float[np.ndarray, " g"], label: Integer[np.ndarray, " g"], points: Sequence[OperatingPoint]
) -> LesionEstimates:
    groups = group_images(np.arange(len(label)), label)
    return {
        "auroc": cluster_auroc(score, label, groups),
        "operating_points": {point.name: _at(point, score, label == 1, groups) for point in points},
    }


def _at(
    point: OperatingPoint, score: Float[np.ndarray, " g"], positive: Bool[np.ndarray, " g"], groups: Groups
) -> LesionAtPoint:
    if point.threshold is None:
        return {"threshold": None, "reason": point.reason}
    called = score >= point.threshold
    shares = shares_at(called, positive, groups)
    return {
        "threshold": point.threshold,
        "confusion": confusion_of(called, positive),
        **{name: shares[name] for name in SHOWN},  # type: ignore[typeddict-item]
    }
