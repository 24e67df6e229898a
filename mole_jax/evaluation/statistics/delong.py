"""DeLong's variance of the AUROC and his test of two AUROCs on the same images, fast and exact with ties.

DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988) 837. The placements are found by sorting, in O(n log n), as in
Sun & Xu, IEEE Signal Processing Letters 21 (2014) 1389. Images are taken as independent: with several images of one
lesion the variance comes out wrong, so `area.py` makes the main interval and this is the second opinion.
"""

from typing import cast

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import ndtr

from mole_jax.evaluation.statistics.intervals import FEWEST_AREA, DelongTest, Estimate, Z, estimate, point, undefined

NO_VARIANCE = "nothing varies from image to image, which says nothing of its uncertainty"


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
    """The AUROC with DeLong's interval, clamped to [0, 1]; none for few images, nor where nothing varies."""
    smaller = min(int(label.sum()), int(len(label) - label.sum()))
    if smaller == 0:
        return undefined("only one class is present")
    of_positives, of_negatives = placements(score, label)
    value = float(of_positives.mean())
    if smaller < FEWEST_AREA:
        return point(value, reason=_too_few(smaller))
    half = Z * np.sqrt(of_positives.var(ddof=1) / len(of_positives) + of_negatives.var(ddof=1) / len(of_negatives))
    if half == 0:
        return point(value, reason=NO_VARIANCE)
    return estimate(value, max(0.0, value - half), min(1.0, value + half), "delong")


def delong_test(
    score_a: Float[np.ndarray, " n"], score_b: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]
) -> DelongTest:
    """The difference of two AUROCs over the same images, a minus b, with DeLong's interval and two-sided p value.

    Returns:
        An estimate with `z` and `p_value`, neither for few images; where the two rank the images alike in every
        respect, p is 1.
    """
    smaller = min(int(label.sum()), int(len(label) - label.sum()))
    if smaller == 0:
        return _without_test(undefined("only one class is present"))
    (positives_a, negatives_a), (positives_b, negatives_b) = placements(score_a, label), placements(score_b, label)
    positives, negatives = positives_a - positives_b, negatives_a - negatives_b
    difference = float(positives.mean())
    if smaller < FEWEST_AREA:
        return _without_test(point(difference, reason=_too_few(smaller)))
    error = float(np.sqrt(positives.var(ddof=1) / len(positives) + negatives.var(ddof=1) / len(negatives)))
    if error == 0:
        found = _without_test(point(difference, reason=NO_VARIANCE))
        if difference == 0:
            found["z"], found["p_value"] = 0.0, 1.0
        return found
    z = difference / error
    low, high = max(-1.0, difference - Z * error), min(1.0, difference + Z * error)
    result = _without_test(estimate(difference, low, high, "delong"))
    result["z"], result["p_value"] = z, float(2 * ndtr(-abs(z)))
    return result


def _without_test(of: Estimate) -> DelongTest:
    return cast(DelongTest, dict(of))


def _too_few(images: int) -> str:
    return f"{images} {'image' if images == 1 else 'images'} of a class; an interval needs {FEWEST_AREA}"


def _share_below(reference: Float[np.ndarray, " m"], score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    reference = np.sort(reference)
    order = np.argsort(score)
    ordered = score[order]  # sorted needles keep the binary search in cache
    twice = np.searchsorted(reference, ordered, "left") + np.searchsorted(reference, ordered, "right")
    share = np.empty(len(score))
    share[order] = twice / (2 * len(reference))
    return share
