"""A smooth calibration curve with a band: the share of melanomas as a spline of the logit (Harrell's rcs, rms)."""

from typing import Final

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import expit

from mole_jax.evaluation.schema import Curve, CurvePoint
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import FEWEST_BOOTSTRAP, estimate, t_quantile, too_few
from mole_jax.evaluation.statistics.logistic import fit_logistic

KNOTS: Final = (0.1, 0.5, 0.9)  # quantiles of the logit
DRAWN: Final = (0.01, 0.99)  # quantiles of the logit between which the curve is drawn
POINTS: Final = 41


def calibration_curve(logits: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Curve:
    """The share of melanomas at each score, by logistic regression on a restricted cubic spline of the logit.

    Linear outside the outer knots; a straight line in the logit where the knots coincide. The band is pointwise, from
    the cluster-robust covariance.

    Args:
        logits: of the scores; not all equal, and not separating the classes.
        label: 0 or 1, both there.
        groups: the lesions.
    """
    if reason := too_few(groups, FEWEST_BOOTSTRAP):
        return {"rows": [], "reason": reason}
    knots = np.quantile(logits, KNOTS)
    first, last = np.quantile(logits, DRAWN)
    at = np.linspace(first, last, POINTS)
    try:
        beta, covariance = fit_logistic(spline(logits, knots), label, groups)
    except ArithmeticError as error:
        return {"rows": [], "reason": str(error)}
    design = spline(at, knots)
    middle = design @ beta
    variance = np.einsum("ip,pq,iq->i", design, covariance, design)
    if not (variance > 0).all():
        return {"rows": [], "reason": "too few different scores for a curve"}
    half = t_quantile(min(groups.positives, groups.negatives) - 1) * np.sqrt(variance)
    rows: list[CurvePoint] = [
        {"score": float(expit(x)), "observed": estimate(expit(y), expit(y - h), expit(y + h), "cluster_sandwich")}
        for x, y, h in zip(at, middle, half, strict=True)
    ]
    return {"rows": rows, "reason": None}


def spline(x: Float[np.ndarray, " n"], knots: Float[np.ndarray, " 3"]) -> Float[np.ndarray, "n p"]:
    """The columns 1, x and the restricted cubic spline of x with three knots; without it where two of them coincide."""
    first, middle, last = knots
    linear = np.column_stack([np.ones_like(x), x])
    if not first < middle < last:
        return linear
    a, b, c = (np.maximum(x - knot, 0.0) ** 3 for knot in knots)
    bent = a - b * (last - first) / (last - middle) + c * (middle - first) / (last - middle)
    return np.column_stack([linear, bent / (last - first) ** 2])
