"""Lesions counted once each: what a person has who is told about a lesion, not about each of its photographs."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Integer

from mole_jax.evaluation.cross_fitting import cutoff
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
    if predictions.lesion_id is None:
        return None
    lesion = np.where(predictions.lesion_id == "", predictions.image_id, predictions.lesion_id)
    names, first, index, images = np.unique(lesion, return_index=True, return_inverse=True, return_counts=True)
    if len(names) == predictions.n:
        return None
    label, highest = np.zeros(len(names), np.int64), np.zeros(len(names))
    np.maximum.at(label, index, predictions.label)
    np.maximum.at(highest, index, predictions.score)
    mean = np.bincount(index, weights=predictions.score) / images
    groups = group_images(predictions.group[first], label, unit=predictions.unit)
    cuts = {
        p.name: np.broadcast_to(cutoff(p, predictions), lesion.shape)[first] for p in points if p.threshold is not None
    }
    return {
        "lesions": len(names),
        "melanomas": int(label.sum()),
        "mean": _estimates(mean, label, groups, points, cuts),
        "maximum": _estimates(highest, label, groups, points, cuts),
    }


def _estimates(
    score: Float[np.ndarray, " g"],
    label: Integer[np.ndarray, " g"],
    groups: Groups,
    points: Sequence[OperatingPoint],
    cuts: Mapping[str, Float[np.ndarray, " g"]],
) -> LesionEstimates:
    return {
        "auroc": cluster_auroc(score, label, groups),
        "operating_points": {
            point.name: _at(point, cuts.get(point.name), score, label == 1, groups) for point in points
        },
    }


def _at(
    point: OperatingPoint,
    cut: Float[np.ndarray, " g"] | None,
    score: Float[np.ndarray, " g"],
    positive: Bool[np.ndarray, " g"],
    groups: Groups,
) -> LesionAtPoint:
    if cut is None:
        return {"threshold": None, "reason": point.reason}
    called = score >= cut
    shares = shares_at(called, positive, groups)
    return {
        "threshold": point.threshold,
        "confusion": confusion_of(called, positive),
        **{name: shares[name] for name in SHOWN},  # type: ignore[typeddict-item]
    }
