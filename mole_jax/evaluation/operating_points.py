"""Thresholds: chosen on one split (validation), then frozen. An image is called positive when score >= threshold."""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import cast

import numpy as np
from scipy.special import betainc

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Point
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.metrics import confusion

TARGET_SENSITIVITIES = (0.90, 0.95, 0.98)
MAIN_SENSITIVITY = 0.95
# The paper tried 1,000 thresholds in [0, 1).
GRID = np.arange(1000) / 1000


@dataclass(frozen=True)
class OperatingPoint:
    """A frozen threshold and where it comes from."""

    name: str  # accuracy, youden, sensitivity_0.95, confident_0.95, given
    rule: str  # in words
    chosen_on: str  # validation, or given
    threshold: float | None  # None where the rule cannot be met
    reason: str | None = None  # why there is none
    target: float | None = None  # the sensitivity that is aimed at
    expected: float | None = None  # the sensitivity that a threshold so chosen has on new lesions, on average
    short: float | None = None  # the probability that it is below the target there
    folds: Sequence[float] = ()  # where it is cross-fitted: the thresholds chosen without each fold

    def record(self) -> Point:
        """As it stands in metrics.json; `folds` only where it is cross-fitted."""
        whole = asdict(self)
        whole["folds"] = list(self.folds)
        if not self.folds:
            del whole["folds"]
        return cast(Point, whole)


def choose_operating_points(
    validation: Predictions,
    target_sensitivity: Sequence[float] = TARGET_SENSITIVITIES,
    *,
    confidence: float | None = None,
    on: str = "validation",
) -> list[OperatingPoint]:
    """The paper's threshold first (best accuracy), then Youden's, then one for each target sensitivity.

    Ties go to the lowest threshold, which misses fewer melanomas; a target sensitivity takes the highest that reaches
    it. `main_point` says which of them tables use.

    Args:
        validation: where they are chosen.
        target_sensitivity: each in (0, 1].
        confidence: in (0, 1): for each target a second threshold, the highest of whose sensitivity on new lesions one
            may be so confident that it reaches the target; None: no such thresholds.
        on: what reasons call the images on which they are chosen.

    Raises:
        UserError: a target sensitivity outside (0, 1], a confidence outside (0, 1).
    """
    for target in target_sensitivity:
        if not 0 < target <= 1:
            raise UserError(f"target_sensitivity={target} is not in (0, 1]; give for example 0.95")
    if confidence is not None and not 0 < confidence < 1:
        raise UserError(f"threshold_confidence={confidence} is not in (0, 1); give for example 0.95")
    groups = group_images(validation.image_id, validation.label)
    counts = Counter(validation.score, validation.label, groups).as_they_are()
    cells = confusion(counts, GRID)
    accurate = float(GRID[np.argmax(cells["tp"] + cells["tn"])])
    points = [
        OperatingPoint("accuracy", "best accuracy of 1,000 thresholds in [0, 1)", "validation", accurate),
    ]
    positives, negatives = float(counts.positive_below[-1, 0]), float(counts.negative_below[-1, 0])
    missing = f"{on} has no melanoma" if not positives else None
    if positives and not negatives:
        missing = f"{on} has no image without melanoma"
    rule = "largest sensitivity + specificity"
    if missing:
        points.append(OperatingPoint("youden", rule, "validation", None, missing))
    else:
        cells = confusion(counts, counts.score)
        youden = cells["tp"] * negatives + cells["tn"] * positives  # whole numbers, so that ties are exact
        points.append(OperatingPoint("youden", rule, "validation", float(counts.score[np.argmax(youden)])))
    melanomas = Melanomas(validation, on)
    points += [melanomas.reaching(target) for target in target_sensitivity]
    if confidence is not None:
        points += [melanomas.confident(target, confidence) for target in target_sensitivity]
    return points


class Melanomas:
    """The melanomas of validation, from which thresholds for a sensitivity are chosen.

    Of m independent melanomas, let a score at or above a threshold that is one of their scores. Then the sensitivity of
    that threshold on new lesions is distributed as Beta(a, m + 1 - a), whatever the distribution of the scores: order
    statistics (Wilks 1941). Where a lesion has several images, m is Kish's effective number of images and a the same
    share of it.
    """

    def __init__(self, validation: Predictions, on: str = "validation") -> None:
        self.on = on
        positive = validation.label == 1
        self.score = np.sort(validation.score[positive])[::-1]
        self.effective = validation.groups.effective(positive)

    def reaching(self, target: float) -> OperatingPoint:
        """The highest threshold whose sensitivity on validation reaches the target."""
        name, rule = f"sensitivity_{target:g}", f"highest threshold with sensitivity >= {target:g}"
        if len(self.score) == 0:
            return OperatingPoint(name, rule, "validation", None, f"{self.on} has no melanoma", target)
        needed = math.ceil(target * len(self.score) - 1e-9)  # .95 of 20 is 19, whatever the rounding of .95
        return self._point(name, rule, needed, target)

    def confident(self, target: float, confidence: float) -> OperatingPoint:
        """The highest threshold of whose sensitivity on new lesions the target is a lower confidence bound."""
        name = f"confident_{target:g}"
        rule = f"highest threshold with sensitivity >= {target:g} on new lesions at {confidence:g} confidence"
        for found in range(1, len(self.score) + 1):
            if self.short(found, target) <= 1 - confidence:
                return self._point(name, rule, found, target)
        if target == 1:
            reason = "no number of lesions can show that none is ever missed"
        else:
            needed = math.ceil(math.log(1 - confidence) / math.log(target))
            reason = (
                f"{self.on} has {self.effective:.0f} melanoma lesions (effective number); a sensitivity of {target:g} "
                f"at {confidence:g} confidence needs {needed}"
            )
        return OperatingPoint(name, rule, "validation", None, reason, target)

    def short(self, found: int, target: float) -> float:
        """The probability that the sensitivity on new lesions is below the target where so many images are found."""
        a = found / len(self.score) * self.effective
        return float(betainc(a, self.effective + 1 - a, target))

    def _point(self, name: str, rule: str, found: int, target: float) -> OperatingPoint:
        threshold = float(self.score[found - 1])
        found = int((self.score >= threshold).sum())  # ties of the last one are found too
        expected = found / len(self.score) * self.effective / (self.effective + 1)
        return OperatingPoint(name, rule, "validation", threshold, None, target, expected, self.short(found, target))


def main_point(points: Sequence[OperatingPoint]) -> OperatingPoint | None:
    """The threshold that tables use: the user's own, else that of 95 % sensitivity or of the first target.

    Where validation has no melanoma, so that no target has a threshold, it is the first point that has one.
    """
    with_threshold = [point for point in points if point.threshold is not None]
    aimed = [point for point in with_threshold if point.name.startswith("sensitivity_")]
    for wanted in (
        [point for point in with_threshold if point.chosen_on == "given"],
        [point for point in aimed if point.target == MAIN_SENSITIVITY],
        aimed,
        with_threshold,
    ):
        if wanted:
            return wanted[0]
    return None


def coinciding(points: Sequence[OperatingPoint]) -> list[list[str]]:
    """The names of those target sensitivities that gave one and the same threshold."""
    names: dict[tuple[float, ...], list[str]] = {}
    for point in points:
        if point.target is not None and point.threshold is not None:
            names.setdefault((point.threshold, *point.folds), []).append(point.name)
    return [of for of in names.values() if len(of) > 1]


def given_threshold(threshold: float | int) -> OperatingPoint:
    """The operating point of a threshold that the user names.

    Raises:
        UserError: it is outside [0, 1].
    """
    if not 0 <= threshold <= 1:
        raise UserError(f"threshold={threshold} is not in [0, 1]; give for example 0.5")
    return OperatingPoint("given", "named by the user", "given", float(threshold))
