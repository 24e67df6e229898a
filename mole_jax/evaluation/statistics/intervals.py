"""Estimates: a value with its 95 % interval and how that was made, as they stand in metrics.json."""

import math
from typing import NotRequired, TypedDict

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtr, stdtrit

from mole_jax.evaluation.statistics.groups import Groups

LEVEL = 0.95
Z = 1.959963984540054  # the normal quantile at 1 - (1 - LEVEL) / 2
# A variance between groups is itself uncertain where they are few. It is averaged with the one that holds if a group's
# images are all alike, which counts as much as this many degrees of freedom. 4 is the choice of benchmarks/coverage.py.
PRIOR = 4.0
NO_VARIATION = "the same in every bootstrap resample, which says nothing of its uncertainty"
OUTSIDE = "it lies outside the interval of its own bootstrap resamples, which are therefore biased"
SAME = 1e-9  # resamples that differ by less than this share of the value differ by rounding
# Groups with a melanoma, and groups without, that an interval needs: with fewer the benchmark finds none that covers.
FEWEST_AREA = 5
FEWEST_BOOTSTRAP = 10


class Estimate(TypedDict):
    """A number of metrics.json."""

    value: float | None  # None: undefined for these data
    low: float | None  # of the 95 % interval; None where there is none
    high: float | None
    method: str | None  # how the interval was made; see schema.md
    reason: NotRequired[str]  # why value or interval is missing
    undefined_resamples: NotRequired[int]  # left out, as the estimate does not exist for them


class AreaTest(TypedDict):
    """Student's test that two AUROCs on the same images are equal."""

    t: float
    df: float
    p_value: float
    p_value_holm: NotRequired[float]  # corrected for the number of pairs
    method: str


class DelongTest(Estimate):
    """A difference of two AUROCs by DeLong, images as independent."""

    z: NotRequired[float | None]
    p_value: NotRequired[float]
    p_value_holm: NotRequired[float]


def undefined(reason: str) -> Estimate:
    """An estimate that does not exist for these data, and why."""
    return {"value": None, "low": None, "high": None, "method": None, "reason": reason}


def point(value: float, *, reason: str) -> Estimate:
    """An estimate without an interval, and why it has none."""
    return {"value": float(value), "low": None, "high": None, "method": None, "reason": reason}


def estimate(value: float, low: float, high: float, method: str) -> Estimate:
    """An estimate with its interval."""
    return {"value": float(value), "low": float(low), "high": float(high), "method": method}


def t_quantile(df: float, level: float = LEVEL) -> float:
    """Student's quantile of a two-sided interval with `df` degrees of freedom (at least 1, need not be whole)."""
    return float(stdtrit(max(df, 1.0), (1 + level) / 2))


def too_few(groups: Groups, fewest: int) -> str | None:
    """Why these groups are too few for an interval, in one phrase; None where they are enough."""
    for count, name in ((groups.positives, "with melanoma"), (groups.negatives, "without melanoma")):
        if count < fewest:
            return f"{count} {groups.unit}{'' if count == 1 else 's'} {name}; an interval needs {fewest}"
    return None


def bootstrapped(value: float, samples: Float[np.ndarray, " r"], groups: Groups, *, level: float = LEVEL) -> Estimate:
    """An estimate with the interval of its cluster-bootstrap samples, or with the reason why there is none.

    Percentiles, moved outwards as Student's t is wider than the normal (Hesterberg, The American Statistician 69
    (2015) 371, "expanded percentile"), for n - 1 degrees of freedom where n lesions are of the rarer class.
    Resamples in which the estimate is undefined (NaN) are left out and counted under `undefined_resamples`.
    """
    if reason := too_few(groups, FEWEST_BOOTSTRAP):
        return point(value, reason=reason)
    defined = samples[~np.isnan(samples)]
    if len(defined) == 0:
        return point(value, reason="undefined in every bootstrap resample")
    if np.ptp(defined) <= SAME * max(1.0, abs(value)):
        return point(value, reason=NO_VARIATION)
    n = min(groups.positives, groups.negatives)
    tail = float(ndtr(-t_quantile(n - 1, level) * math.sqrt(n / (n - 1))))
    low, high = np.quantile(defined, [tail, 1 - tail])
    if not low <= value <= high:
        return point(value, reason=OUTSIDE)
    result = estimate(value, low, high, "cluster_bootstrap")
    if len(defined) < len(samples):
        result["undefined_resamples"] = len(samples) - len(defined)
    return result


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """Wilson's score interval for a proportion of independent trials (1927), in [0, 1]; trials need not be whole."""
    p, z2 = successes / trials, Z * Z
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    # Exact at the ends, where rounding would leave 1e-17 or 1 + 1e-16.
    return (0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half)


def proportion(hit: Bool[np.ndarray, " n"], among: Bool[np.ndarray, " n"], groups: Groups) -> Estimate:
    """A share of images with Wilson's interval for the effective number of independent images.

    Args:
        hit: which images count.
        among: which images the share is of; at least one.
        groups: the lesions of all images.
    """
    value = float(hit[among].mean())
    trials = effective_trials(hit, among, groups)
    return estimate(value, *wilson(value * trials, trials), "wilson_effective")


def effective_trials(hit: Bool[np.ndarray, " n"], among: Bool[np.ndarray, " n"], groups: Groups) -> float:
    """As many independent images as say as much about a share as these do; their number where each is of another group.

    Kish's number, what is left if all images of a group are alike, divided by how much the groups really vary compared
    with that: the ratio estimator's variance between groups (Rao & Scott, Biometrics 48 (1992) 577), averaged with 1 as
    `PRIOR` says. A share of 0 or 1 shows no variance, which is no sign that there is none: Kish's number then.
    """
    value = float(hit[among].mean())
    images = int(among.sum())
    kish = groups.effective(among)
    if kish == images:
        return kish
    binomial = value * (1 - value)
    if binomial == 0:
        return kish
    g = len(np.unique(groups.index[among]))
    pull = groups.sums(np.where(among, hit - value, 0.0))
    ratio = (pull**2).sum() / images**2 * (g / (g - 1) if g > 1 else 1.0) * kish / binomial
    return kish / average_with_prior(ratio, g - 1)


def average_with_prior(ratio: float, df: float) -> float:
    """A ratio of variances that has `df` degrees of freedom, averaged with 1."""
    return (df * ratio + PRIOR) / (df + PRIOR)


def moved(of: Estimate, by: float = 0.0, times: float = 1.0) -> Estimate:
    """`by` + `times` * an estimate, and so its interval."""
    if of["value"] is None:
        return of
    value = by + times * of["value"]
    if of["low"] is None or of["high"] is None:
        return {**of, "value": value}
    low, high = by + times * of["low"], by + times * of["high"]
    return {**of, "value": value, "low": min(low, high), "high": max(low, high)}


def mean_of(first: Estimate, second: Estimate) -> Estimate:
    """The mean of two estimates on different lesions, interval by MOVER."""
    return moved(difference_of(first, moved(second, times=-1.0)), times=0.5)


def difference_of(first: Estimate, second: Estimate) -> Estimate:
    """First minus second, of two estimates that have no lesion in common, interval by MOVER.

    The "method of variance estimates recovery" of two intervals (Zou & Donner, Statistics in Medicine 27 (2008) 1693);
    of two Wilson intervals it is Newcombe's hybrid score interval (1998, method 10).
    """
    reason = first.get("reason") or second.get("reason") or ""
    if first["value"] is None or second["value"] is None:
        return undefined(reason)
    value = first["value"] - second["value"]
    if first["low"] is None or first["high"] is None or second["low"] is None or second["high"] is None:
        return point(value, reason=reason)
    low = value - math.hypot(first["value"] - first["low"], second["high"] - second["value"])
    high = value + math.hypot(first["high"] - first["value"], second["value"] - second["low"])
    return estimate(value, low, high, "mover")


def ratio_interval(first: Estimate, second: Estimate) -> tuple[float, float]:
    """The interval of first / second, two shares with intervals and no lesion in common; up to infinity.

    Donner & Zou, Statistics in Medicine 31 (2012) 2623, with the lower bound rearranged so that nothing cancels.
    """
    a, low_a, high_a = _whole(first)
    b, low_b, high_b = _whole(second)
    top = low_a * (2 * a - low_a)
    root = math.sqrt(max(0.0, (a * b) ** 2 - top * high_b * (2 * b - high_b)))
    low = top / (a * b + root) if top > 0 else 0.0
    if low_b == 0:
        return low, math.inf
    bottom = low_b * (2 * b - low_b)
    return low, (a * b + math.sqrt(max(0.0, (a * b) ** 2 - high_a * (2 * a - high_a) * bottom))) / bottom


def _whole(of: Estimate) -> tuple[float, float, float]:
    assert of["value"] is not None and of["low"] is not None and of["high"] is not None  # a share has an interval
    return of["value"], of["low"], of["high"]
