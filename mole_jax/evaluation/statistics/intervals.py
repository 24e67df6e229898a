"""Estimates: a value with its 95 % interval and how that was made, as they stand in metrics.json."""

import math
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mole_jax.evaluation.statistics.groups import Groups

Estimate = dict[str, Any]

LEVEL = 0.95
Z = 1.959963984540054  # the normal quantile at 1 - (1 - LEVEL) / 2
TOO_FEW = "fewer than two lesions of a class, so nothing to resample"


def undefined(reason: str) -> Estimate:
    """An estimate that does not exist for these data, and why."""
    return {"value": None, "low": None, "high": None, "method": None, "reason": reason}


def point(value: float, *, reason: str) -> Estimate:
    """An estimate without an interval, and why it has none."""
    return {"value": float(value), "low": None, "high": None, "method": None, "reason": reason}


def estimate(value: float, low: float, high: float, method: str) -> Estimate:
    """An estimate with its interval."""
    return {"value": float(value), "low": float(low), "high": float(high), "method": method}


def bootstrapped(value: float, samples: Float[np.ndarray, " r"]) -> Estimate:
    """An estimate with the percentile interval of its cluster-bootstrap samples.

    Resamples in which the estimate is undefined (NaN) are left out and counted under `undefined_resamples`.
    """
    defined = samples[~np.isnan(samples)]
    if len(defined) == 0:
        return point(value, reason="undefined in every bootstrap resample")
    if defined.min() == defined.max():
        return point(value, reason="the same in every bootstrap resample, which says nothing of its uncertainty")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    result = estimate(value, low, high, "cluster_bootstrap")
    if len(defined) < len(samples):
        result["undefined_resamples"] = len(samples) - len(defined)
    return result


def wilson(successes: float | int, trials: int) -> tuple[float, float]:
    """Wilson's score interval for a proportion of independent trials (Wilson 1927), in [0, 1]."""
    p, z2 = successes / trials, Z * Z
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    # Exact at the ends, where rounding would leave 1e-17 or 1 + 1e-16.
    return (0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half)


def proportion(
    successes: int, among: Bool[np.ndarray, " n"], groups: Groups, samples: Float[np.ndarray, " r"]
) -> Estimate:
    """A share of images with the interval that fits: Wilson where every lesion has one image, else cluster bootstrap.

    Where the share is 0 or 1 the bootstrap sees no variation and would claim certainty; Wilson over the lesions
    concerned does not.

    Args:
        successes: how many of `among`.
        among: which images the share is of; at least one.
        groups: the lesions of all images.
        samples: the share in each bootstrap resample.
    """
    trials = int(among.sum())
    value = successes / trials
    if groups.single:
        return estimate(value, *wilson(successes, trials), "wilson")
    if successes in (0, trials):
        lesions = len(np.unique(groups.index[among]))
        return estimate(value, *wilson(value * lesions, lesions), "wilson_by_lesion")
    if not groups.resamplable:
        return point(value, reason=TOO_FEW)
    return bootstrapped(value, samples)


def resampled(value: float, samples: Float[np.ndarray, " r"], groups: Groups) -> Estimate:
    """An estimate with its cluster-bootstrap interval, or with the reason why there is none."""
    return bootstrapped(value, samples) if groups.resamplable else point(value, reason=TOO_FEW)
