"""Figures: a value with its 95 % interval and how that was made, as they stand in metrics.json."""

import math
from typing import Any

import numpy as np
from jaxtyping import Float

Figure = dict[str, Any]

LEVEL = 0.95
Z = 1.959963984540054  # the normal quantile at 1 - (1 - LEVEL) / 2


def undefined(reason: str) -> Figure:
    """A figure that does not exist for these data, and why."""
    return {"value": None, "low": None, "high": None, "method": None, "reason": reason}


def point(value: float, *, reason: str) -> Figure:
    """A figure without an interval, and why it has none."""
    return {"value": float(value), "low": None, "high": None, "method": None, "reason": reason}


def figure(value: float, low: float, high: float, method: str) -> Figure:
    """A figure with its interval."""
    return {"value": float(value), "low": float(low), "high": float(high), "method": method}


def bootstrapped(value: float, samples: Float[np.ndarray, "r"]) -> Figure:
    """A figure with the percentile interval of its cluster-bootstrap samples.

    Resamples in which the figure is undefined (NaN) are left out and counted under `undefined_resamples`.
    """
    defined = samples[~np.isnan(samples)]
    if len(defined) == 0:
        return point(value, reason="undefined in every bootstrap resample")
    low, high = np.quantile(defined, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    result = figure(value, low, high, "cluster_bootstrap")
    if len(defined) < len(samples):
        result["undefined_resamples"] = len(samples) - len(defined)
    return result


def wilson(successes: float, trials: float) -> tuple[float, float]:
    """Wilson's score interval for a proportion of independent trials (Wilson 1927), in [0, 1]."""
    p, z2 = successes / trials, Z * Z
    centre = (p + z2 / (2 * trials)) / (1 + z2 / trials)
    half = Z * math.sqrt(p * (1 - p) / trials + z2 / (4 * trials**2)) / (1 + z2 / trials)
    # Exact at the ends, where rounding would leave 1e-17 or 1 + 1e-16.
    return (0.0 if successes == 0 else centre - half, 1.0 if successes == trials else centre + half)
