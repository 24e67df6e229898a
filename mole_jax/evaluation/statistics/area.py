"""AUROC and partial AUROC with intervals that know about groups, and the test of two AUROCs on the same images.

Each image's influence on the area is summed by group; the variance between groups is Obuchowski's (Biometrics 53 (1997)
567), which is DeLong's (1988) where every group has one image. A group may hold images of both classes.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import expit, logit, stdtr

from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.delong import placements
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import (
    FEWEST_AREA,
    FEWEST_BOOTSTRAP,
    LEVEL,
    AreaTest,
    Estimate,
    average_with_prior,
    estimate,
    point,
    t_quantile,
    too_few,
    undefined,
)
from mole_jax.evaluation.statistics.metrics import PARTIAL_AUROC_SENSITIVITY, partial_auroc

NOTHING_VARIES = "nothing varies from image to image, which says nothing of its uncertainty"
ONE_CLASS = "only one class is present"
WIDTH = 1 - PARTIAL_AUROC_SENSITIVITY
FEWEST_PARTIAL = 20  # lesions of each class: the partial area rests on a fifth of the melanomas
ROUNDING = 1e-12  # a standard error below it is none
BISECTIONS = 60  # halvings of [0, 1]: beyond float64


@dataclass(frozen=True)
class Influence:
    """How far each group moves an area from its value, apart for its images of each class."""

    value: float
    of_positives: Float[np.ndarray, " g"]
    of_negatives: Float[np.ndarray, " g"]
    groups: Groups

    @property
    def parts(self) -> tuple[float, float, float]:
        """The variance from melanomas, from the others, and from lesions that have both."""
        p, n, g = self.groups.positives, self.groups.negatives, self.groups.count
        return (
            p / (p - 1) * float((self.of_positives**2).sum()),
            n / (n - 1) * float((self.of_negatives**2).sum()),
            2 * g / (g - 1) * float((self.of_positives * self.of_negatives).sum()),
        )

    @property
    def variance(self) -> float:
        """Obuchowski's variance of the area; at least two groups of each class."""
        return max(0.0, sum(self.parts))

    @property
    def df(self) -> float:
        """Welch's and Satterthwaite's degrees of freedom of the variance; those of the rarer class where it is 0."""
        positive, negative, _ = self.parts
        p, n = self.groups.positives - 1, self.groups.negatives - 1
        if positive + negative == 0:
            return float(min(p, n))
        return (positive + negative) ** 2 / (positive**2 / p + negative**2 / n)


def cluster_auroc(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Estimate:
    """The AUROC with a score interval for few, clustered lesions.

    The interval holds every area A from which the estimate lies less than t standard errors, as Wilson's does for a
    share and Newcombe's (Statistics in Medicine 25 (2006) 559) for an AUROC. The variance at A is Hanley's & McNeil's
    (Radiology 143 (1982) 29) at Kish's effective numbers of images, times the ratio of Obuchowski's variance to it at
    the estimate, averaged with 1 as `PRIOR` says. So an AUROC of 1 has an interval too.
    """
    if label.min() == label.max():
        return undefined(ONE_CLASS)
    if reason := too_few(groups, FEWEST_AREA):
        return point(float(placements(score, label)[0].mean()), reason=reason)
    return _score_interval(auroc_influence(score, label, groups), label, groups)


def cluster_mean_auroc(
    scores: Sequence[Float[np.ndarray, " n"]], label: Integer[np.ndarray, " n"], groups: Groups
) -> Estimate:
    """The mean AUROC of several models of one kind over the same images, with the interval of `cluster_auroc`.

    The mean of areas has the mean of their influences. The interval is about other lesions, not about other models.
    """
    if label.min() == label.max():
        return undefined(ONE_CLASS)
    of_each = [auroc_influence(score, label, groups) for score in scores]
    mean = Influence(
        float(np.mean([each.value for each in of_each])),
        np.mean([each.of_positives for each in of_each], axis=0),
        np.mean([each.of_negatives for each in of_each], axis=0),
        groups,
    )
    if reason := too_few(groups, FEWEST_AREA):
        return point(mean.value, reason=reason)
    return _score_interval(mean, label, groups)


def _score_interval(influence: Influence, label: Integer[np.ndarray, " n"], groups: Groups) -> Estimate:
    numbers = groups.effective(label == 1), groups.effective(label == 0)
    expected = hanley_mcneil(influence.value, *numbers)
    ratio = average_with_prior(influence.variance / expected if expected > 0 else 0.0, influence.df)
    t = t_quantile(influence.df)

    def apart(area: float) -> bool:
        return (influence.value - area) ** 2 > t * t * ratio * hanley_mcneil(area, *numbers)

    return estimate(
        influence.value,
        _boundary(influence.value, 0.0, apart),
        _boundary(influence.value, 1.0, apart),
        "cluster_score",
    )


def cluster_partial_auroc(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Estimate:
    """The partial AUROC of `metrics.partial_auroc` with a t interval on the logit scale of its share of 0.2.

    Only about a fifth of the melanomas lies where the area is measured, so t has a fifth of their degrees of freedom.
    """
    if label.min() == label.max():
        return undefined(ONE_CLASS)
    influence = partial_influence(score, label, groups)
    if reason := too_few(groups, FEWEST_PARTIAL):
        return point(influence.value, reason=reason)
    share, variance = influence.value / WIDTH, influence.variance
    if not 0 < share < 1 or math.sqrt(variance) <= ROUNDING:
        return point(influence.value, reason=NOTHING_VARIES)
    half = t_quantile(WIDTH * groups.positives - 1) * math.sqrt(variance) / WIDTH / (share * (1 - share))
    low, high = expit(logit(share) + np.array([-half, half])) * WIDTH
    return estimate(influence.value, low, high, "cluster_logit")


def cluster_auroc_difference(
    score_a: Float[np.ndarray, " n"],
    score_b: Float[np.ndarray, " n"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    *,
    level: float = LEVEL,
) -> tuple[Estimate, AreaTest | None]:
    """The difference of two AUROCs over the same images, a minus b, with its t interval, and the t test of none.

    The test is None where there are too few lesions for one, or where nothing varies.
    """
    if label.min() == label.max():
        return undefined(ONE_CLASS), None
    a, b = auroc_influence(score_a, label, groups), auroc_influence(score_b, label, groups)
    difference = Influence(a.value - b.value, a.of_positives - b.of_positives, a.of_negatives - b.of_negatives, groups)
    if reason := too_few(groups, FEWEST_BOOTSTRAP):
        return point(difference.value, reason=reason), None
    error, df = math.sqrt(difference.variance), difference.df
    if error <= ROUNDING:
        return point(difference.value, reason="the two rank every pair of images alike"), None
    half, t = t_quantile(df, level) * error, difference.value / error
    found = estimate(
        difference.value, max(-1.0, difference.value - half), min(1.0, difference.value + half), "cluster_t"
    )
    return found, {"t": t, "df": df, "p_value": float(2 * stdtr(df, -abs(t))), "method": "cluster_t"}


def auroc_influence(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Influence:
    """Of the AUROC: a positive image counts with the share of negatives below it, less the mean, and so on."""
    of_positives, of_negatives = placements(score, label)
    value = float(of_positives.mean())
    return _influence(value, of_positives - value, of_negatives - value, label, groups)


def partial_influence(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Influence:
    """Of the partial AUROC, the mean over the negatives of how much less than 0.2 of the positives lies below them.

    A positive image counts with the share of negatives inside the area that lie above it, which it takes away.
    """
    value = float(Counter(score, label, groups).value(lambda counts: {"area": partial_auroc(counts)})["area"])
    below = 1 - placements(score, label)[1]  # of each negative: the share of positives below it
    inside = below < WIDTH
    room = np.where(inside, WIDTH - below, 0.0)
    negative, positive = np.sort(score[label == 0][inside]), score[label == 1]
    above = (
        len(negative) - (np.searchsorted(negative, positive, "left") + np.searchsorted(negative, positive, "right")) / 2
    )
    taken = above / len(below)
    return _influence(value, taken.mean() - taken, room - room.mean(), label, groups)


def hanley_mcneil(area: float, positives: float, negatives: float) -> float:
    """The variance of an AUROC of exponential scores, from the area and the numbers of independent images."""
    both_above = area / (2 - area)  # two positives above one negative
    one_above = 2 * area**2 / (1 + area)  # one positive above two negatives
    spread = area * (1 - area) + (positives - 1) * (both_above - area**2) + (negatives - 1) * (one_above - area**2)
    return spread / (positives * negatives)


def _influence(
    value: float,
    of_positives: Float[np.ndarray, " p"],
    of_negatives: Float[np.ndarray, " q"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
) -> Influence:
    positive, negative = np.zeros(len(label)), np.zeros(len(label))
    positive[label == 1] = of_positives / len(of_positives)
    negative[label == 0] = of_negatives / len(of_negatives)
    return Influence(value, groups.sums(positive), groups.sums(negative), groups)


def _boundary(inside: float, outside: float, apart: Callable[[float], bool]) -> float:
    """Where `apart` begins between a value inside and one outside, which is returned where it is inside itself."""
    if not apart(outside):
        return outside
    for _ in range(BISECTIONS):
        middle = (inside + outside) / 2
        inside, outside = (inside, middle) if apart(middle) else (middle, outside)
    return inside
