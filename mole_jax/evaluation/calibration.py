"""Whether a score of 0.2 means a risk of 20 %: reliability curve, calibration error, slope, intercept, temperature.

Two scalings of the logits are fitted on validation, neither changes the ranking: temperature (Guo et al., ICML 2017)
divides by one number; Platt's (1999) also shifts, as models trained on balanced batches need at natural prevalence.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import logit

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter, Counts
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import Estimate, Z, estimate, proportion, resampled, undefined
from mole_jax.evaluation.statistics.logistic import fit_logistic

BINS = 10
# Where there is no logit column, scores are kept this far from 0 and 1: about a float32 step below 1.
CLIP = 1e-7


def logits_of(predictions: Predictions) -> Float[np.ndarray, " n"]:
    """The logit column, or the logits of the scores kept `CLIP` away from 0 and 1."""
    if predictions.logit is not None:
        return predictions.logit.astype(np.float64)
    return logit(np.clip(predictions.score, CLIP, 1 - CLIP))


def fit_temperature(validation: Predictions) -> Estimate:
    """The temperature that maximises the likelihood of the validation labels, with a cluster-robust interval.

    The interval is symmetric in the logarithm. Undefined where no finite positive temperature is best.
    """
    x, label = logits_of(validation), validation.label
    if reason := _one_class(label):
        return undefined(reason)
    signed = np.where(label == 1, x, -x)
    if (signed >= 0).all():
        return undefined("no validation image is on the wrong side of 0.5, so the best temperature is 0")
    if (x * (label - 0.5)).sum() <= 0:  # the slope of the likelihood where the temperature is infinite
        return undefined("the scores do not rise with melanoma on validation, so the best temperature is infinite")
    try:
        (beta,), ((variance,),) = fit_logistic(x[:, None], label, group_images(validation.group, label))
    except ArithmeticError as error:
        return undefined(str(error))
    half = Z * np.sqrt(variance) / beta
    return estimate(1 / beta, np.exp(-half) / beta, np.exp(half) / beta, "cluster_sandwich")


def fit_platt(validation: Predictions) -> dict[str, Estimate]:
    """The `slope` and `intercept` of the logits that maximise the likelihood of the validation labels.

    Both undefined, with the same reason, where there is no best slope or it is not positive.
    """
    fitted = _slope_and_intercept(
        logits_of(validation), validation.label, group_images(validation.group, validation.label)
    )
    if fitted["slope"]["value"] is not None and fitted["slope"]["value"] <= 0:
        reason = "the scores do not rise with melanoma on validation"
        return {"slope": undefined(reason), "intercept": undefined(reason)}
    return fitted


def calibration_estimates(
    score: Float[np.ndarray, " n"],
    logits: Float[np.ndarray, " n"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    *,
    resamples: int,
    seed: int,
) -> dict[str, Any]:
    """Brier score, log loss, calibration error, slope, intercept and the reliability curve of one set of scores.

    The expected calibration error is over `BINS` bins of equally many images (equal scores share a bin). Its percentile
    interval is drawn upwards, as resampling adds noise within the bins: read its low end.

    Args:
        score: probabilities.
        logits: of the scores.
        label: 0 or 1.
        groups: the lesions.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    counter = Counter(score, label, groups)
    bin_of_score = _equal_mass_bins(score)
    starts = np.flatnonzero(np.diff(bin_of_score, prepend=-1))

    def statistics(counts: Counts) -> Mapping[str, Float[np.ndarray, "..."]]:
        positive = np.add.reduceat(counts.positive, starts, axis=0)
        images = positive + np.add.reduceat(counts.negative, starts, axis=0)
        scores = np.add.reduceat((counts.positive + counts.negative) * counts.score[:, None], starts, axis=0)
        return {
            "brier": metrics.brier(counts),
            "log_loss": metrics.log_loss(counts),
            "ece": np.abs(scores - positive).sum(axis=0) / images.sum(axis=0),
            "mean_score": np.divide(scores, images, out=np.full_like(scores, np.nan), where=images > 0),
            "observed": np.divide(positive, images, out=np.full_like(scores, np.nan), where=images > 0),
        }

    value = counter.value(statistics)
    samples = counter.bootstrap(statistics, resamples=resamples, seed=seed)
    return {
        **{name: resampled(float(value[name]), samples[name], groups) for name in ("brier", "log_loss", "ece")},
        **_slope_and_intercept(logits, label, groups),
        "bins": _bins(score, label, groups, counter.score[starts], value, samples),
    }


def _equal_mass_bins(score: Float[np.ndarray, " n"]) -> Integer[np.ndarray, " k"]:
    """The bin of each distinct score: by the middle rank of its images."""
    _, images = np.unique(score, return_counts=True)
    middle = np.cumsum(images) - images / 2
    return (BINS * middle / len(score)).astype(np.int64)


def _bins(
    score: Float[np.ndarray, " n"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    lowest: Float[np.ndarray, " b"],
    value: Mapping[str, Float[np.ndarray, "..."]],
    samples: Mapping[str, Float[np.ndarray, "..."]],
) -> list[dict[str, Any]]:
    bin_of_image = np.searchsorted(lowest, score, side="right") - 1
    rows = []
    for b in range(len(lowest)):
        among = bin_of_image == b
        rows.append(
            {
                "images": int(among.sum()),
                "positives": int(label[among].sum()),
                "lowest_score": float(score[among].min()),
                "highest_score": float(score[among].max()),
                "mean_score": float(value["mean_score"][b]),
                "observed": proportion(int(label[among].sum()), among, groups, samples["observed"][b]),
            }
        )
    return rows


def _slope_and_intercept(
    logits: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups
) -> dict[str, Estimate]:
    """Of the logistic regression of label on logit (Cox 1958): 1 and 0 when calibrated; slope below 1: too extreme."""
    reason = _one_class(label) or _separated(logits, label)
    if reason:
        return {"slope": undefined(reason), "intercept": undefined(reason)}
    try:
        (intercept, slope), covariance = fit_logistic(np.column_stack([np.ones_like(logits), logits]), label, groups)
    except ArithmeticError as error:
        return {"slope": undefined(str(error)), "intercept": undefined(str(error))}
    half_intercept, half_slope = Z * np.sqrt(np.diag(covariance))
    return {
        "slope": estimate(slope, slope - half_slope, slope + half_slope, "cluster_sandwich"),
        "intercept": estimate(intercept, intercept - half_intercept, intercept + half_intercept, "cluster_sandwich"),
    }


def _one_class(label: Integer[np.ndarray, " n"]) -> str | None:
    return "only one class is present" if label.min() == label.max() else None


def _separated(logits: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> str | None:
    if logits.min() == logits.max():
        return "all scores are equal"
    positive, negative = logits[label == 1], logits[label == 0]
    apart = positive.min() >= negative.max() or positive.max() <= negative.min()
    return "the scores separate the classes perfectly, so the slope has no bound" if apart else None
