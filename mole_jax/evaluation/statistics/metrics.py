"""Standard metrics as functions of the table of counts; oracle: scikit-learn.

Every function takes weighted counts for r resamples and, but for the curve of one, returns an array whose last axis is
r. NaN where undefined.
An image is called positive when its score is at or above the threshold.
"""

import numpy as np
from jaxtyping import Float, Integer

from mole_jax.evaluation.statistics.counts import Counts

# The partial AUROC looks only at thresholds that find at least this share of the melanomas (as in ISIC 2024).
PARTIAL_AUROC_SENSITIVITY = 0.8

AT_THRESHOLD = ("accuracy", "precision", "sensitivity", "specificity", "f1", "npv", "balanced_accuracy")
THRESHOLD_FREE = ("auroc", "partial_auroc", "average_precision", "brier", "log_loss")


def threshold_free(counts: Counts) -> dict[str, Float[np.ndarray, " r"]]:
    """AUROC, partial AUROC, average precision, Brier score and log loss."""
    return {
        "auroc": auroc(counts),
        "partial_auroc": partial_auroc(counts),
        "average_precision": average_precision(counts),
        "brier": brier(counts),
        "log_loss": log_loss(counts),
    }


def auroc(counts: Counts) -> Float[np.ndarray, " r"]:
    """Area under the ROC curve: how often a melanoma scores above a mole, a tie counting one half."""
    negative_below = (counts.negative_below[:-1] + counts.negative_below[1:]) / 2  # half of the ties
    wins = (counts.positive * negative_below).sum(axis=0)
    return _ratio(wins, counts.positive_below[-1] * counts.negative_below[-1])


def roc_curve(counts: Counts) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " p"], Float[np.ndarray, " p"]]:
    """False alarm rate, sensitivity and threshold, from none called melanoma (infinity) to all; points on a straight
    line between others are left out.

    Args:
        counts: of one weighting, with both classes there.
    """
    moles, melanomas = (below[-1, 0] - below[::-1, 0] for below in (counts.negative_below, counts.positive_below))
    thresholds = np.concatenate([[np.inf], counts.score[::-1]])
    keep = np.ones(len(thresholds), bool)
    keep[2:-1] = ((np.diff(moles, 2) != 0) | (np.diff(melanomas, 2) != 0))[1:]
    return moles[keep] / moles[-1], melanomas[keep] / melanomas[-1], thresholds[keep]


def partial_auroc(counts: Counts) -> Float[np.ndarray, " r"]:
    """Area between the ROC curve and the line of 80 % sensitivity, in [0, 0.2]: the raw area that ISIC 2024 ranked by.

    It is the integral of specificity over sensitivity from 0.8 to 1; chance gives 0.02. Not rescaled (McClish).
    """
    width = 1 - PARTIAL_AUROC_SENSITIVITY
    missed = _ratio(counts.positive_below, counts.positive_below[-1])  # 1 - sensitivity, ascending
    specificity = _ratio(counts.negative_below, counts.negative_below[-1])
    step = np.diff(missed, axis=0)
    inside = np.diff(np.minimum(missed, width), axis=0)
    share = np.divide(inside, step, out=np.zeros_like(step), where=step > 0)  # below 1 only where the limit cuts a step
    height = specificity[:-1] + np.diff(specificity, axis=0) * share / 2
    return (inside * height).sum(axis=0)


def average_precision(counts: Counts) -> Float[np.ndarray, " r"]:
    """Precision at each threshold, weighted by the positives that it adds (no interpolation)."""
    found = counts.positive_below[-1] - counts.positive_below[:-1]
    called = found + counts.negative_below[-1] - counts.negative_below[:-1]
    precision = np.divide(found, called, out=np.zeros_like(found), where=called > 0)
    return _ratio((counts.positive * precision).sum(axis=0), counts.positive_below[-1])


def brier(counts: Counts) -> Float[np.ndarray, " r"]:
    """Mean squared difference between score and label, in [0, 1]."""
    loss = (1 - counts.score) ** 2 @ counts.positive + counts.score**2 @ counts.negative
    return _ratio(loss, counts.positive_below[-1] + counts.negative_below[-1])


def log_loss(counts: Counts) -> Float[np.ndarray, " r"]:
    """Mean negative log likelihood in nats; scores are kept one float64 step from 0 and 1, as scikit-learn does."""
    eps = np.finfo(np.float64).eps
    score = np.clip(counts.score, eps, 1 - eps)
    loss = -np.log(score) @ counts.positive - np.log1p(-score) @ counts.negative
    return _ratio(loss, counts.positive_below[-1] + counts.negative_below[-1])


def squared_errors(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Each image's part of the Brier score."""
    return (score - label) ** 2


def log_losses(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Each image's part of the log loss in nats, clipped as there."""
    eps = np.finfo(np.float64).eps
    score = np.clip(score, eps, 1 - eps)
    return np.where(label == 1, -np.log(score), -np.log1p(-score))


def confusion(counts: Counts, thresholds: Float[np.ndarray, " t"]) -> dict[str, Float[np.ndarray, "t r"]]:
    """True and false positives and negatives (`tp`, `fp`, `fn`, `tn`) at each threshold."""
    row = np.searchsorted(counts.score, thresholds, side="left")
    fn, tn = counts.positive_below[row], counts.negative_below[row]
    return {"tp": counts.positive_below[-1] - fn, "fp": counts.negative_below[-1] - tn, "fn": fn, "tn": tn}


def at_threshold(
    *,
    tp: Float[np.ndarray, "*shape"],
    fp: Float[np.ndarray, "*shape"],
    fn: Float[np.ndarray, "*shape"],
    tn: Float[np.ndarray, "*shape"],
) -> dict[str, Float[np.ndarray, "*shape"]]:
    """The metrics of a confusion matrix: `AT_THRESHOLD`, all in [0, 1]."""
    sensitivity, specificity = _ratio(tp, tp + fn), _ratio(tn, tn + fp)
    return {
        "accuracy": _ratio(tp + tn, tp + fp + fn + tn),
        "precision": _ratio(tp, tp + fp),
        "sensitivity": sensitivity,
        "specificity": specificity,
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
        "npv": _ratio(tn, tn + fn),
        "balanced_accuracy": (sensitivity + specificity) / 2,
    }


def _ratio(top: Float[np.ndarray, "..."], bottom: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    bottom = np.broadcast_to(bottom, np.shape(top))
    return np.divide(top, bottom, out=np.full(np.shape(top), np.nan), where=bottom > 0)
