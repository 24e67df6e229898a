"""What sensitivity and specificity, and a score, mean where melanoma is rarer or more common than in the test set."""

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from mole_jax.evaluation.schema import PrevalenceRow
from mole_jax.evaluation.statistics.intervals import Estimate, estimate, moved, ratio_interval, undefined

# Screening (ISIC 2020: 584 of 33,126), HAM10000 (1,113 of 10,015), one in five, the paper's balanced set.
PREVALENCES = (0.018, 0.11, 0.20, 0.50)


def prior_shift(
    score: Float[np.ndarray, " n"], *, from_prevalence: float, to_prevalence: float
) -> Float[np.ndarray, " n"]:
    """Scores for a population with another share of melanomas that look the same (Saerens et al., 2002).

    The odds are multiplied by the ratio of the prior odds.

    Args:
        score: probabilities, calibrated at `from_prevalence`.
        from_prevalence: in (0, 1).
        to_prevalence: in (0, 1).
    """
    return expit(logit(score) + logit(to_prevalence) - logit(from_prevalence))


def predictive_estimates(sensitivity: Estimate, specificity: Estimate, prevalence: float) -> tuple[Estimate, Estimate]:
    """PPV and NPV at another prevalence, intervals from those of sensitivity and specificity (MOVER for ratios).

    Args:
        sensitivity: with its interval.
        specificity: with its interval.
        prevalence: share of melanomas, in (0, 1).
    """
    if sensitivity["value"] is None or specificity["value"] is None:
        reason = "only one class is present"
        return undefined(reason), undefined(reason)
    odds = prevalence / (1 - prevalence)
    ppv = _by_ratio(sensitivity, moved(specificity, by=1.0, times=-1.0), odds, "no image is called positive")
    npv = _by_ratio(specificity, moved(sensitivity, by=1.0, times=-1.0), 1 / odds, "no image is called negative")
    return ppv, npv


def _by_ratio(right: Estimate, wrong: Estimate, odds: float, nothing: str) -> Estimate:
    a, b = right["value"], wrong["value"]
    if not a and not b:
        return undefined(nothing)
    value = 1.0 if not b else float(odds * (a or 0.0) / b / (1 + odds * (a or 0.0) / b))
    low, high = (
        1.0 if np.isinf(ratio) else odds * ratio / (1 + odds * ratio) for ratio in ratio_interval(right, wrong)
    )
    return estimate(value, low, high, "mover_ratio")


def prevalence_estimates(
    sensitivity: Estimate, specificity: Estimate, *, threshold_risk: float | None, calibrated_at: float
) -> list[PrevalenceRow]:
    """PPV and NPV at each of `PREVALENCES`, and the risk that a score at the threshold stands for there.

    They rest on one assumption, label shift: that only the share of melanomas is another, while melanomas and other
    lesions look there as they look here.

    Args:
        sensitivity: at the threshold.
        specificity: at the threshold.
        threshold_risk: the calibrated score at the threshold; None where there is none.
        calibrated_at: share of melanomas in (0, 1) that the calibrated score means.
    """
    rows: list[PrevalenceRow] = []
    for prevalence in PREVALENCES:
        ppv, npv = predictive_estimates(sensitivity, specificity, prevalence)
        risk = None
        if threshold_risk is not None:
            shifted = prior_shift(np.array([threshold_risk]), from_prevalence=calibrated_at, to_prevalence=prevalence)
            risk = float(shifted[0])
        rows.append({"prevalence": prevalence, "ppv": ppv, "npv": npv, "risk_at_threshold": risk})
    return rows
