"""One file of predictions suffices: what is chosen or fitted on other images is chosen on the other folds of the file.

Each image is called by a threshold, and scaled by a calibration, that was found without its fold. Folds are of whole
patients or lesions, so that nothing of an image helps to judge it. What is so estimated is the procedure: a threshold
chosen on four fifths of this many melanomas, used on new lesions. The threshold to take along is the one that the same
rule gives on the whole file.
"""

import dataclasses
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float, Integer

from mole_jax.evaluation.operating_points import OperatingPoint, choose_operating_points
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.intervals import too_few

FOLDS: Final = 5
FEWEST: Final = 10  # lesions of each class: with fewer, four fifths of them choose next to nothing
CROSS_FITTED: Final = "cross-fitted"


def why_not(predictions: Predictions) -> str | None:
    """Why a file cannot be cross-fitted, in one phrase; None where it can."""
    reason = too_few(predictions.groups, FEWEST)
    return None if reason is None else reason.replace("an interval needs", "cross-fitting needs")


def folds_of(predictions: Predictions) -> Integer[np.ndarray, " n"]:
    """The fold of each image, 0 to `FOLDS` - 1: whole groups, dealt out by class, the same for the same groups."""
    groups = predictions.groups
    order = np.random.default_rng(0).permutation(groups.count)
    order = order[np.argsort(groups.stratum[order], kind="stable")]
    fold = np.empty(groups.count, np.int64)
    fold[order] = np.arange(groups.count) % FOLDS
    return fold[groups.index]


def cross_fitted_points(
    predictions: Predictions, target_sensitivity: Sequence[float], *, confidence: float | None = None
) -> list[OperatingPoint]:
    """The operating points of `choose_operating_points` on the whole file, each with its threshold without each fold.

    Args:
        predictions: that can be cross-fitted (`why_not`).
        target_sensitivity: each in (0, 1].
        confidence: see `choose_operating_points`.

    Raises:
        UserError: see `choose_operating_points`.
    """
    fold = folds_of(predictions)
    whole, *parts = (
        choose_operating_points(predictions.select(mask), target_sensitivity, confidence=confidence, on="the file")
        for mask in (fold >= 0, *(fold != k for k in range(FOLDS)))
    )
    return [_cross_fitted(point, [part[i] for part in parts]) for i, point in enumerate(whole)]


def _cross_fitted(point: OperatingPoint, parts: Sequence[OperatingPoint]) -> OperatingPoint:
    found = tuple(part.threshold for part in parts if part.threshold is not None)
    if len(found) == len(parts) and point.threshold is not None:
        return dataclasses.replace(point, chosen_on=CROSS_FITTED, folds=found)
    reason = next((part.reason for part in (point, *parts) if part.reason), None)
    return dataclasses.replace(point, chosen_on=CROSS_FITTED, threshold=None, reason=reason, expected=None, short=None)


def cutoff(point: OperatingPoint, predictions: Predictions) -> float | Float[np.ndarray, " n"]:
    """What an image's score must reach to be called melanoma: one threshold, or each image's where it is cross-fitted.

    Args:
        point: with a threshold.
        predictions: the whole of what is judged.
    """
    assert point.threshold is not None
    return np.array(point.folds)[folds_of(predictions)] if point.folds else point.threshold
