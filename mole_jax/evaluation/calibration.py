"""Whether a score of 0.2 means a risk of 20 %: in the large, by slope, by bins and by a curve; and two scalings.

Two scalings of the logits are fitted on validation, neither changes the ranking: temperature (Guo et al., ICML 2017)
divides by one number; Platt's (1999) also shifts, as models trained on balanced batches need at natural prevalence.
"""

import math
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import logit

from mole_jax.evaluation.calibration_curve import calibration_curve
from mole_jax.evaluation.calibration_error import Bins, calibration_error
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Calibration, Scaling
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import (
    FEWEST_BOOTSTRAP,
    Estimate,
    bootstrapped,
    estimate,
    point,
    t_quantile,
    too_few,
    undefined,
)
from mole_jax.evaluation.statistics.logistic import fit_logistic
from mole_jax.evaluation.statistics.sums import Sums

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
    groups = group_images(validation.group, label)
    try:
        (beta,), ((variance,),) = fit_logistic(x[:, None], label, groups)
    except ArithmeticError as error:
        return undefined(str(error))
    if reason := too_few(groups, FEWEST_BOOTSTRAP):
        return point(1 / beta, reason=reason)
    half = _t(groups) * math.sqrt(variance) / beta
    return estimate(1 / beta, math.exp(-half) / beta, math.exp(min(half, 700)) / beta, "cluster_sandwich")


def fit_platt(validation: Predictions) -> Scaling:
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
) -> Calibration:
    """What is known of the calibration of one set of scores; see `schema.md`.

    Args:
        score: probabilities.
        logits: of the scores.
        label: 0 or 1.
        groups: the lesions.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """

    bins, sums = Bins(score, label, groups), Sums(groups)
    sums.add("images", np.ones_like(score))
    sums.add("brier", metrics.squared_errors(score, label))
    sums.add("log_loss", metrics.log_losses(score, label))
    sums.add("excess", score - label, cell=bins.of_image, cells=bins.count)
    value, samples = (_per_image(of) for of in (sums.value(), sums.bootstrap(resamples=resamples, seed=seed)))
    ece, usual = calibration_error(value["excess"], samples["excess"], groups)
    scaling = _slope_and_intercept(logits, label, groups)
    reason = _no_slope(logits, label)
    return {
        "brier": bootstrapped(float(value["brier"][0]), samples["brier"][0], groups),
        "log_loss": bootstrapped(float(value["log_loss"][0]), samples["log_loss"][0], groups),
        "in_the_large": in_the_large(logits, label, groups),
        "observed_expected": observed_expected(score, label, groups),
        "slope": scaling["slope"],
        "intercept": scaling["intercept"],
        "ece": ece,
        "ece_usual": usual,
        "bins": bins.rows(),
        "curve": {"rows": [], "reason": reason} if reason else calibration_curve(logits, label, groups),
    }


def _per_image(sums: Mapping[str, Float[np.ndarray, "..."]]) -> dict[str, Float[np.ndarray, "..."]]:
    return {name: of / sums["images"][0] for name, of in sums.items()}


def in_the_large(logits: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Estimate:
    """What must be added to every logit so that as many melanomas are expected as there are; 0 where none need be.

    The intercept of the logistic regression of the labels with the slope held at 1 (Steyerberg, Clinical Prediction
    Models, 2019, 15.3), which is another number than the intercept beside a fitted slope.
    """
    if reason := _one_class(label):
        return undefined(reason)
    try:
        (value,), ((variance,),) = fit_logistic(np.ones((len(label), 1)), label, groups, offset=logits)
    except ArithmeticError as error:
        return undefined(str(error))
    return _normal(value, variance, groups)


def observed_expected(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Estimate:
    """Melanomas that there are over those that the scores add up to (O:E), with a t interval of its logarithm.

    The variance is the ratio estimator's between lesions: of the sums of label - ratio * score.
    """
    if reason := _one_class(label):
        return undefined(reason)
    if score.sum() == 0:
        return undefined("the scores add up to no melanoma at all")
    ratio = float(label.sum() / score.sum())
    if reason := too_few(groups, FEWEST_BOOTSTRAP):
        return point(ratio, reason=reason)
    pull = groups.sums(label - ratio * score) / label.sum()
    half = _t(groups) * math.sqrt(groups.count / (groups.count - 1) * float((pull**2).sum()))
    return estimate(ratio, ratio * math.exp(-half), ratio * math.exp(half), "cluster_ratio")


def _slope_and_intercept(logits: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> Scaling:
    """Of the logistic regression of label on logit (Cox 1958): 1 and 0 when calibrated; slope below 1: too extreme."""
    if reason := _no_slope(logits, label):
        return {"slope": undefined(reason), "intercept": undefined(reason)}
    try:
        (intercept, slope), covariance = fit_logistic(np.column_stack([np.ones_like(logits), logits]), label, groups)
    except ArithmeticError as error:
        return {"slope": undefined(str(error)), "intercept": undefined(str(error))}
    return {
        "slope": _normal(slope, covariance[1, 1], groups),
        "intercept": _normal(intercept, covariance[0, 0], groups),
    }


def _normal(value: float, variance: float, groups: Groups) -> Estimate:
    """A coefficient with its cluster-robust t interval."""
    if reason := too_few(groups, FEWEST_BOOTSTRAP):
        return point(value, reason=reason)
    half = _t(groups) * math.sqrt(variance)
    return estimate(value, value - half, value + half, "cluster_sandwich")


def _t(groups: Groups) -> float:
    return t_quantile(min(groups.positives, groups.negatives) - 1)


def _no_slope(logits: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> str | None:
    return _one_class(label) or _separated(logits, label)


def _one_class(label: Integer[np.ndarray, " n"]) -> str | None:
    return "only one class is present" if label.min() == label.max() else None


def _separated(logits: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> str | None:
    if logits.min() == logits.max():
        return "all scores are equal"
    positive, negative = logits[label == 1], logits[label == 0]
    apart = positive.min() >= negative.max() or positive.max() <= negative.min()
    return "the scores separate the classes perfectly, so the slope has no bound" if apart else None
