"""What makes one doubt a set of scores before any of its numbers is read, each doubt in one sentence."""

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from mole_jax.evaluation.predictions import Predictions

# Honest published results on dermoscopy end below this (winners of ISIC 2020: .949 on the private test set).
SUSPICIOUS_AUROC: Final = 0.98


def doubts(predictions: Predictions, auroc: Mapping[str, Any], *, name: str = "test") -> list[str]:
    """The doubts that scores and labels give rise to.

    Args:
        predictions: what is judged.
        auroc: its estimate.
        name: of the split or the model.
    """
    found = []
    score, value = predictions.score, auroc["value"]
    distinct = np.unique(score[:1000]) if len(np.unique(score[:1000])) > 2 else np.unique(score)
    if len(distinct) == 1:
        found.append(f"{name} has one score for all images, {score[0]:g}: it tells nothing apart")
    elif len(distinct) == 2:
        low, high = distinct
        found.append(
            f"{name} has only two different scores, {low:g} and {high:g}: they look like decisions, not probabilities, "
            "so AUROC, calibration and thresholds say no more than one sensitivity and one specificity"
        )
    elif score.min() >= 0.5 and predictions.label.min() == 0:
        found.append(
            f"no score of {name} lies below .5: they look like the probability of the class that was predicted, not of "
            "melanoma"
        )
    if value is not None and value < 0.5 and auroc["high"] is not None and auroc["high"] < 0.5:
        found.append(
            f"the scores of {name} look inverted: AUROC {value:.3f} lies below .5 with its whole interval; a score "
            "must be the probability of melanoma, not of the other class"
        )
    if value is not None and value >= SUSPICIOUS_AUROC:
        found.append(f"{name} AUROC {value:.3f} is above honest published results for dermoscopy; look for leakage")
    return found
