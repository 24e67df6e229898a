"""DeLong's variance of the AUROC and his test of two AUROCs on the same images, fast and exact with ties.

DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837. The placements are found by sorting, in O(n log n), as in
Sun & Xu, IEEE Signal Processing Letters 21 (2014) 1389. Images are taken as independent: with several images of one
lesion the variance comes out wrong, so the cluster bootstrap is the main interval and this the second opinion.
"""

from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import ndtr

from mole_jax.evaluation.statistics.intervals import Estimate, Z, estimate, point, undefined


def placements(
    score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, " q"]]:
    """For each positive the share of negatives below it, for each negative that of positives above it; ties count half.

    Args:
        score: higher means more likely positive.
        label: 0 or 1, both present.

    Returns:
        In the order of the images. The mean of either is the AUROC.
    """
    positive, negative = score[label == 1], score[label == 0]
    return _share_below(negative, positive), 1 - _share_below(positive, negative)


def delong_auroc(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> Estimate:
    """The AUROC with DeLong's interval, clamped to [0, 1]."""
    smaller = min(int(label.sum()), int(len(label) - label.sum()))
    if smaller == 0:
        return undefined("only one class is present")
    of_positives, of_negatives = placements(score, label)
    value = float(of_positives.mean())
    if smaller < 2:
        return point(value, reason="fewer than two images of a class")
    half = Z * np.sqrt(of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives))
    return estimate(value, max(0.0, value - half), min(1.0, value + half), "delong")


def delong_test(
    score_a: Float[np.ndarray, " n"], score_b: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]
) -> dict[str, Any]:
    """The difference of two AUROCs over the same images, a minus b, with DeLong's interval and two-sided p value.

    Returns:
        An estimate with `z` and `p_value`; where the two rank the images alike in every respect, p is 1.
    """
    if min(int(label.sum()), int(len(label) - label.sum())) < 2:
        return undefined("fewer than two images of a class")
    (positives_a, negatives_a), (positives_b, negatives_b) = placements(score_a, label), placements(score_b, label)
    positives, negatives = positives_a - positives_b, negatives_a - negatives_b
    difference = float(positives.mean())
    error = float(np.sqrt(positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives)))
    z = difference / error if error > 0 else 0.0 if difference == 0 else float(np.copysign(np.inf, difference))
    result = estimate(difference, max(-1.0, difference - Z * error), min(1.0, difference + Z * error), "delong")
    return result | {"z": z if np.isfinite(z) else None, "p_value": float(2 * ndtr(-abs(z)))}


def _share_below(reference: Float[np.ndarray, " m"], score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    reference = np.sort(reference)
    order = np.argsort(score)
    ordered = score[order]  # sorted needles keep the binary search in cache
    twice = np.searchsorted(reference, ordered, "left") + np.searchsorted(reference, ordered, "right")
    share = np.empty(len(score))
    share[order] = twice / (2 * len(reference))
    return share
