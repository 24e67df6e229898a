"""Logistic regression of labels on a column or two, with a covariance that knows about lesions."""

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import expit

from mole_jax.evaluation.statistics.groups import Groups

STEPS = 100
HALVINGS = 40
WORST_CONDITION = 1e14  # beyond it the step is rounding noise
TOLERANCE = 1e-10


def fit_logistic(
    design: Float[np.ndarray, "n p"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    *,
    offset: Float[np.ndarray, " n"] | None = None,
) -> tuple[Float[np.ndarray, " p"], Float[np.ndarray, "p p"]]:
    """Maximum likelihood by Newton's method with step halving.

    Args:
        design: the regressors, including the column of ones if there is to be an intercept; the labels must not be
            separable by them, or there is no maximum.
        label: 0 or 1.
        groups: the lesions.
        offset: added to the linear predictor as it is; None: nothing.

    Returns:
        The coefficients and their cluster-robust ("sandwich") covariance, times g / (g - 1) for g lesions.

    Raises:
        ArithmeticError: there is no maximum, or it was not reached.
    """
    fixed = np.zeros(len(label)) if offset is None else offset
    beta = np.zeros(design.shape[1])
    loss = _loss(fixed + design @ beta, label)
    for _ in range(STEPS):
        risk = expit(fixed + design @ beta)
        hessian = (design * (risk * (1 - risk))[:, None]).T @ design
        if not np.linalg.cond(hessian) < WORST_CONDITION:
            break
        step = np.linalg.solve(hessian, design.T @ (label - risk))
        for _ in range(HALVINGS):
            if _loss(fixed + design @ (beta + step), label) <= loss + TOLERANCE * abs(loss):
                break
            step = step / 2
        beta = beta + step
        loss = _loss(fixed + design @ beta, label)
        if np.abs(step).max() <= TOLERANCE * max(1.0, np.abs(beta).max()):
            return beta, _sandwich(design, label, groups, expit(fixed + design @ beta))
    raise ArithmeticError(f"logistic regression found no maximum; it stopped at {beta}")


def _loss(eta: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> float:
    return float((np.logaddexp(0, eta) - label * eta).sum())


def _sandwich(
    design: Float[np.ndarray, "n p"], label: Integer[np.ndarray, " n"], groups: Groups, risk: Float[np.ndarray, " n"]
) -> Float[np.ndarray, "p p"]:
    bread = np.linalg.inv((design * (risk * (1 - risk))[:, None]).T @ design)
    by_lesion = np.stack([groups.sums(column * (label - risk)) for column in design.T])
    correction = groups.count / (groups.count - 1) if groups.count > 1 else np.nan
    return correction * bread @ (by_lesion @ by_lesion.T) @ bread
