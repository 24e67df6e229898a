"""What sensitivity and specificity, and a score, mean where melanoma is rarer or more common than in the test set."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter, Counts
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import Estimate, point, resampled, undefined

# Screening (ISIC 2020: 584 of 33,126), HAM10000 (1,113 of 10,015), one in five, the paper's balanced set.
PREVALENCES = (0.018, 0.11, 0.20, 0.50)


def predictive_values(
    sensitivity: Float[np.ndarray, " r"], specificity: Float[np.ndarray, " r"], prevalence: float
) -> tuple[Float[np.ndarray, " r"], Float[np.ndarray, " r"]]:
    """PPV and NPV by Bayes' rule; NaN where nothing is called positive (or negative).

    Args:
        sensitivity: in [0, 1].
        specificity: in [0, 1].
        prevalence: share of melanomas, in (0, 1).
    """
    with np.errstate(invalid="ignore"):
        true_positive, false_positive = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
        true_negative, false_negative = specificity * (1 - prevalence), (1 - sensitivity) * prevalence
        return true_positive / (true_positive + false_positive), true_negative / (true_negative + false_negative)


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


def prevalence_estimates(
    predictions: Predictions,
    threshold: float,
    *,
    threshold_risk: float,
    calibrated_at: float,
    resamples: int,
    seed: int,
) -> list[dict[str, Any]]:
    """PPV and NPV at each of `PREVALENCES`, and the risk that a score at the threshold stands for there.

    Args:
        predictions: of the test set.
        threshold: frozen.
        threshold_risk: the calibrated score at the threshold.
        calibrated_at: share of melanomas in (0, 1).
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Returns:
        A row for each prevalence: `prevalence`, `ppv`, `npv` (estimates), `risk_at_threshold` (value).
    """

    def statistics(counts: Counts) -> Mapping[str, Float[np.ndarray, " r"]]:
        at = metrics.at_threshold(**metrics.confusion(counts, np.array([threshold])))
        return {"sensitivity": at["sensitivity"][0], "specificity": at["specificity"][0]}

    groups = group_images(predictions.group, predictions.label)
    counter = Counter(predictions.score, predictions.label, groups)
    value = counter.value(statistics)
    samples = counter.bootstrap(statistics, resamples=resamples, seed=seed)
    rows: list[dict[str, Any]] = []
    for prevalence in PREVALENCES:
        values = predictive_values(value["sensitivity"][None], value["specificity"][None], prevalence)
        drawn = predictive_values(samples["sensitivity"], samples["specificity"], prevalence)
        row: dict[str, Any] = {"prevalence": prevalence}
        for name, v, d in zip(("ppv", "npv"), values, drawn, strict=True):
            row[name] = _estimate(float(v[0]), d, value, groups)
        risk = prior_shift(np.array([threshold_risk]), from_prevalence=calibrated_at, to_prevalence=prevalence)
        rows.append(row | {"risk_at_threshold": float(risk[0])})
    return rows


def _estimate(
    value: float, samples: Float[np.ndarray, " r"], rates: Mapping[str, Float[np.ndarray, ""]], groups: Groups
) -> Estimate:
    if np.isnan(rates["sensitivity"]) or np.isnan(rates["specificity"]):
        return undefined("only one class is present")
    if np.isnan(value):
        return undefined("no image is called positive, or none negative")
    for name, rate in rates.items():
        if rate in (0, 1):
            return point(value, reason=f"{name} is {float(rate):g}, of which the bootstrap sees no uncertainty")
    return resampled(value, samples, groups)
