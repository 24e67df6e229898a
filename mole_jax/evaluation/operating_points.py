"""Thresholds: chosen on one split (validation), then frozen. An image is called positive when score >= threshold."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.metrics import confusion

TARGET_SENSITIVITIES = (0.90, 0.95, 0.98)
# The paper tried 1,000 thresholds in [0, 1).
GRID = np.arange(1000) / 1000


@dataclass(frozen=True)
class OperatingPoint:
    """A frozen threshold and where it comes from."""

    name: str  # accuracy, youden, sensitivity_0.95, given
    rule: str  # in words
    chosen_on: str  # validation, or given
    threshold: float | None  # None where the rule cannot be met
    reason: str | None = None  # why there is none


def choose_operating_points(
    validation: Predictions, target_sensitivity: Sequence[float] = TARGET_SENSITIVITIES
) -> list[OperatingPoint]:
    """The paper's threshold first (best accuracy), then Youden's, then one for each target sensitivity.

    Ties go to the lowest threshold, which misses fewer melanomas; a target sensitivity takes the highest that reaches
    it.

    Raises:
        UserError: a target sensitivity outside (0, 1].
    """
    for target in target_sensitivity:
        if not 0 < target <= 1:
            raise UserError(f"target_sensitivity={target} is not in (0, 1]; give for example 0.95")
    groups = group_images(validation.image_id, validation.label)
    counts = Counter(validation.score, validation.label, groups).as_they_are()
    cells = confusion(counts, GRID)
    accurate = float(GRID[np.argmax(cells["tp"] + cells["tn"])])
    points = [
        OperatingPoint("accuracy", "best accuracy of 1,000 thresholds in [0, 1)", "validation", accurate),
    ]
    positives, negatives = float(counts.positive_below[-1, 0]), float(counts.negative_below[-1, 0])
    missing = "validation has no melanoma" if not positives else "validation has no mole" if not negatives else None
    rule = "largest sensitivity + specificity"
    if missing:
        points.append(OperatingPoint("youden", rule, "validation", None, missing))
    else:
        cells = confusion(counts, counts.score)
        youden = cells["tp"] * negatives + cells["tn"] * positives  # whole numbers, so that ties are exact
        points.append(OperatingPoint("youden", rule, "validation", float(counts.score[np.argmax(youden)])))
    melanomas = np.sort(validation.score[validation.label == 1])[::-1]
    for target in target_sensitivity:
        name, rule = f"sensitivity_{target:g}", f"highest threshold with sensitivity >= {target:g}"
        if len(melanomas) == 0:
            points.append(OperatingPoint(name, rule, "validation", None, missing))
        else:
            needed = math.ceil(target * len(melanomas) - 1e-9)  # .95 of 20 is 19, whatever the rounding of .95
            points.append(OperatingPoint(name, rule, "validation", float(melanomas[needed - 1])))
    return points


def given_threshold(threshold: float | int) -> OperatingPoint:
    """The operating point of a threshold that the user names.

    Raises:
        UserError: it is outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold={threshold} is not in [0, 1]; give for example 0.5")
    return OperatingPoint("given", "named by the user", "given", float(threshold))
