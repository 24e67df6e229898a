import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics as sk
import statsmodels.api as sm
from scipy.optimize import brentq, minimize_scalar
from scipy.special import expit, logit
from scipy.stats import t as student

from mole_jax.evaluation.calibration import (
    calibration_estimates,
    fit_platt,
    fit_temperature,
    logits_of,
    observed_expected,
)
from mole_jax.evaluation.calibration_curve import calibration_curve, spline
from mole_jax.evaluation.calibration_error import calibration_error
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.groups import draw_weights, group_images
from mole_jax.evaluation.statistics.logistic import fit_logistic


def estimates(p, **options):
    groups = group_images(p.group, p.label)
    return calibration_estimates(
        p.score, logits_of(p), p.label, groups, resamples=options.get("resamples", 100), seed=0
    )


def test_temperature_agrees_with_scipy_and_scikit_learn(make):
    p = make(800, seed=3, images_per_lesion=2)
    p = dataclasses.replace(p, score=expit(2.5 * logit(p.score)))  # overconfident
    found = fit_temperature(p)
    x = logit(p.score)
    best = minimize_scalar(
        lambda t: sk.log_loss(p.label, expit(x / t)), bounds=(0.05, 50), method="bounded", options={"xatol": 1e-10}
    )
    assert found["value"] == pytest.approx(best.x, rel=1e-6)
    assert found["low"] < found["value"] < found["high"]
    assert found["value"] == pytest.approx(sklearn_temperature(x, p.label), rel=1e-3)
    assert found["value"] > 2


def sklearn_temperature(x, label):
    from sklearn.base import BaseEstimator, ClassifierMixin
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    class Given(ClassifierMixin, BaseEstimator):
        def fit(self, x, y):
            self.classes_ = np.unique(y)
            self.fitted_ = True
            return self

        def decision_function(self, x):
            return x[:, 0]

        def predict(self, x):
            return (x[:, 0] > 0).astype(int)

    model = CalibratedClassifierCV(
        FrozenEstimator(Given().fit(x[:, None], label)), method="temperature", ensemble=False
    )
    model.fit(x[:, None], label)
    at = np.array([[2.0]])
    return 2.0 / logit(model.predict_proba(at)[0, 1])


def test_temperature_that_does_not_exist_is_told():
    ids = np.array(["a", "b", "c", "d"])
    perfect = Predictions(ids, np.array([0, 0, 1, 1]), np.array([0.1, 0.2, 0.8, 0.9]))
    assert (
        fit_temperature(perfect)["reason"]
        == "no validation image is on the wrong side of 0.5, so the best temperature is 0"
    )
    reversed_ = Predictions(ids, np.array([1, 1, 0, 0]), perfect.score)
    assert fit_temperature(reversed_)["reason"].startswith("the scores do not rise with melanoma")
    assert (
        fit_temperature(Predictions(ids, np.zeros(4, dtype=int), perfect.score))["reason"]
        == "only one class is present"
    )


def test_platt_agrees_with_scikit_learn_and_undoes_balanced_training(make):
    from sklearn.linear_model import LogisticRegression

    p = make(900, seed=4, images_per_lesion=3)
    shifted = dataclasses.replace(p, score=expit(logit(p.score) + 2))
    found = fit_platt(shifted)
    x = logit(shifted.score)[:, None]
    model = LogisticRegression(C=np.inf, tol=1e-10).fit(x, p.label)
    assert found["slope"]["value"] == pytest.approx(model.coef_[0, 0], rel=1e-5)
    assert found["intercept"]["value"] == pytest.approx(model.intercept_[0], rel=1e-4)
    before = fit_platt(p)
    assert found["intercept"]["value"] == pytest.approx(before["intercept"]["value"] - 2 * before["slope"]["value"])


def test_platt_of_scores_the_wrong_way_round_is_told(make):
    p = make(200)
    found = fit_platt(dataclasses.replace(p, score=1 - p.score))
    assert (
        found["slope"]["reason"] == found["intercept"]["reason"] == "the scores do not rise with melanoma on validation"
    )


def test_slope_and_intercept_agree_with_statsmodels(make):
    p = make(600, seed=5, images_per_lesion=3)
    groups = group_images(p.group, p.label)
    fitted = sm.Logit(p.label, sm.add_constant(logit(p.score))).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": groups.index, "use_correction": False}
    )
    error = fitted.bse * np.sqrt(groups.count / (groups.count - 1))
    found = estimates(p)
    for name, i in (("intercept", 0), ("slope", 1)):
        assert found[name]["value"] == pytest.approx(fitted.params[i], rel=1e-6)
        t = student.ppf(0.975, min(groups.positives, groups.negatives) - 1)
        assert found[name]["high"] - found[name]["value"] == pytest.approx(t * error[i], rel=1e-5)
        assert found[name]["method"] == "cluster_sandwich"


def test_slope_of_separated_or_equal_scores_is_told():
    ids = np.array(["a", "b", "c", "d"])
    label = np.array([0, 0, 1, 1])
    apart = estimates(Predictions(ids, label, np.array([0.1, 0.2, 0.3, 0.4])))
    assert apart["slope"]["value"] is None
    assert apart["slope"]["reason"].startswith("the scores separate the classes perfectly")
    assert estimates(Predictions(ids, label, np.full(4, 0.3)))["intercept"]["reason"] == "all scores are equal"


def test_regression_without_a_maximum_is_told_not_raised(make, monkeypatch):
    def fail(*_):
        raise ArithmeticError("logistic regression found no maximum")

    monkeypatch.setattr("mole_jax.evaluation.calibration.fit_logistic", fail)
    p = make(100)
    assert fit_temperature(p)["reason"] == fit_platt(p)["slope"]["reason"] == "logistic regression found no maximum"


def test_bins_hold_equally_many_images_and_give_the_error(make):
    p = make(1000, seed=6)
    found = estimates(p)
    assert [row["images"] for row in found["bins"]] == [100] * 10
    order = np.argsort(p.score).reshape(10, 100)
    observed, mean = p.label[order].mean(axis=1), p.score[order].mean(axis=1)
    assert [row["observed"]["value"] for row in found["bins"]] == pytest.approx(observed)
    assert [row["mean_score"] for row in found["bins"]] == pytest.approx(mean)
    assert found["ece_usual"] == pytest.approx(np.abs(observed - mean).mean())
    assert found["brier"]["value"] == pytest.approx(sk.brier_score_loss(p.label, p.score))


def test_equal_scores_share_a_bin(make):
    p = make(500, seed=7, digits=1)
    rows = estimates(p)["bins"]
    assert sum(row["images"] for row in rows) == 500
    edges = [(row["lowest_score"], row["highest_score"]) for row in rows]
    assert all(high < low for (_, high), (low, _) in pairwise(edges))


def test_calibrated_scores_are_found_calibrated():
    rng = np.random.default_rng(8)
    score = rng.beta(1, 3, size=20_000)
    label = (rng.random(20_000) < score).astype(int)
    found = estimates(Predictions(np.arange(20_000).astype(str), label, score), resamples=50)
    assert found["slope"]["low"] < 1 < found["slope"]["high"]
    assert found["intercept"]["low"] < 0 < found["intercept"]["high"]
    assert found["ece"]["value"] < 0.01
    assert found["in_the_large"]["low"] < 0 < found["in_the_large"]["high"]
    assert found["observed_expected"]["low"] < 1 < found["observed_expected"]["high"]


def test_logit_column_is_used_where_scores_are_rounded_to_one():
    p = Predictions(np.array(["a", "b"]), np.array([0, 1]), np.array([1.0, 1.0]), logit=np.array([40.0, 50.0]))
    assert logits_of(p).tolist() == [40, 50]
    clipped = logits_of(dataclasses.replace(p, logit=None))
    assert clipped.tolist() == pytest.approx([logit(1 - 1e-7)] * 2)


def test_in_the_large_is_what_makes_the_scores_add_up(make):
    p = make(600, seed=5, images_per_lesion=3)
    x = logit(p.score)
    added = brentq(lambda a: expit(x + a).sum() - p.label.sum(), -5, 5)
    found = estimates(p)
    assert found["in_the_large"]["value"] == pytest.approx(added, abs=1e-8)
    # Not the intercept beside the slope, which is another number unless the slope is 1.
    assert abs(found["in_the_large"]["value"] - found["intercept"]["value"]) > 0.02
    groups = group_images(p.group, p.label)
    fitted = sm.GLM(p.label, np.ones(600), sm.families.Binomial(), offset=x).fit(
        cov_type="cluster", cov_kwds={"groups": groups.index, "use_correction": False}
    )
    error = fitted.bse[0] * np.sqrt(groups.count / (groups.count - 1))
    half = student.ppf(0.975, min(groups.positives, groups.negatives) - 1) * error
    assert found["in_the_large"]["high"] - found["in_the_large"]["value"] == pytest.approx(half, rel=1e-5)


def test_observed_over_expected_with_the_error_of_a_bootstrap(make):
    p = make(600, seed=6, images_per_lesion=3)
    groups = group_images(p.group, p.label)
    found = estimates(p)["observed_expected"]
    assert found["value"] == pytest.approx(p.label.sum() / p.score.sum())
    (weights,) = draw_weights(groups, resamples=4000, seed=0, at_a_time=4000)
    ratios = (groups.sums(p.label) @ weights) / (groups.sums(p.score) @ weights)
    half = student.ppf(0.975, min(groups.positives, groups.negatives) - 1) * np.log(ratios).std()
    assert found["low"] == pytest.approx(found["value"] * np.exp(-half), rel=0.02)
    assert found["high"] == pytest.approx(found["value"] * np.exp(half), rel=0.02)


def test_scores_of_zero_expect_nothing():
    p = Predictions(np.arange(30).astype(str), np.arange(30) % 2, np.zeros(30))
    assert estimates(p)["observed_expected"]["reason"] == "the scores add up to no melanoma at all"


def test_few_lesions_have_values_without_intervals(make):
    p = make(200, seed=2)
    few = (np.cumsum(p.label) <= 9) | (p.label == 0)
    found = estimates(p.select(few))
    for name in ("brier", "log_loss", "in_the_large", "observed_expected", "slope", "intercept", "ece"):
        assert found[name]["value"] is not None
        assert found[name]["low"] is None
        assert found[name]["reason"] == "9 lesions with melanoma; an interval needs 10", name
    assert found["curve"] == {"rows": [], "reason": "9 lesions with melanoma; an interval needs 10"}
    assert fit_temperature(p.select(few))["reason"] == "9 lesions with melanoma; an interval needs 10"


def test_the_calibration_error_of_a_perfect_model_is_zero_and_its_interval_holds_it():
    """The usual error is above zero for every finite test set; the one without drift is not."""
    rng = np.random.default_rng(3)
    usual, zero, held = [], 0, 0
    for _ in range(40):
        score = rng.beta(1, 3, size=300)
        p = Predictions(np.arange(300).astype(str), (rng.random(300) < score).astype(int), score)
        found = estimates(p, resamples=200)
        usual.append(found["ece_usual"])
        zero += found["ece"]["value"] < 0.005
        held += found["ece"]["low"] == 0
    assert min(usual) > 0.01
    assert np.mean(usual) > 0.03
    assert zero >= 12  # the median of chance is where the estimate leaves 0
    assert held >= 36


def test_the_calibration_error_of_a_bad_model_is_found():
    rng = np.random.default_rng(4)
    risk = rng.beta(1, 3, size=8000)
    p = Predictions(np.arange(8000).astype(str), (rng.random(8000) < risk).astype(int), 0.2 + 0.8 * risk)
    found = estimates(p, resamples=300)["ece"]
    assert found["value"] == pytest.approx(0.2 * (1 - 0.25), abs=0.01)  # mean of .2 + .8 r - r
    assert 0.13 < found["low"] < found["value"] < found["high"] < 0.17
    assert found["method"] == "bootstrap_inversion"


def test_the_calibration_error_word_for_word():
    """Where the deviations are multiplied by s, the share of resamples with at most the usual error is the tail."""
    rng = np.random.default_rng(5)
    excess = rng.normal(scale=0.02, size=10)
    samples = excess[:, None] + rng.normal(scale=0.005, size=(10, 2000))
    groups = group_images(np.arange(100), np.arange(100) % 2)
    found, usual = calibration_error(excess, samples, groups)
    assert usual == np.abs(excess).sum()
    for end, tail in (("low", 0.975), ("value", 0.5), ("high", 0.025)):
        s = found[end] / usual
        drawn = np.abs(s * excess[:, None] + samples - excess[:, None]).sum(axis=0)
        assert (drawn <= usual).mean() == pytest.approx(tail, abs=0.002), end


def test_scores_closer_than_chance_are_told():
    groups = group_images(np.arange(100), np.arange(100) % 2)
    samples = np.random.default_rng(0).normal(scale=0.01, size=(10, 500))
    found, _ = calibration_error(np.full(10, 1e-6), samples, groups)
    assert (found["value"], found["low"]) == (0, None)
    assert found["reason"] == "closer to calibration than chance alone leads one to expect"
    found, usual = calibration_error(np.full(10, 0.01), np.full((10, 50), 0.01), groups)
    assert found["reason"].startswith("the same in every bootstrap resample")
    assert found["value"] == pytest.approx(usual)


def test_the_curve_follows_the_truth(make):
    rng = np.random.default_rng(6)
    x = rng.normal(-1, 1.5, size=20_000)
    truth = expit(1.5 * x - 0.5)
    p = Predictions(np.arange(20_000).astype(str), (rng.random(20_000) < truth).astype(int), expit(x))
    rows = estimates(p, resamples=20)["curve"]["rows"]
    at = np.array([row["score"] for row in rows])
    assert len(rows) == 41
    assert (at[0], at[-1]) == pytest.approx(np.quantile(p.score, [0.01, 0.99]), rel=1e-3)
    for row, expected in zip(rows, expit(1.5 * logit(at) - 0.5), strict=True):
        assert row["observed"]["low"] < row["observed"]["value"] < row["observed"]["high"]
        assert row["observed"]["value"] == pytest.approx(expected, abs=0.03)


def test_the_curve_of_few_different_scores_is_a_line(make):
    p = make(400, seed=7)
    two = dataclasses.replace(p, score=np.where(p.score > 0.3, 0.6, 0.2))
    found = estimates(two)
    rows = found["curve"]["rows"]
    line = expit(found["intercept"]["value"] + found["slope"]["value"] * logit([row["score"] for row in rows]))
    assert [row["observed"]["value"] for row in rows] == pytest.approx(line)
    assert spline(np.arange(3.0), np.array([0.0, 0.0, 1.0])).shape == (3, 2)


def test_a_curve_without_a_maximum_says_why(make, monkeypatch):
    def fail(*_):
        raise ArithmeticError("logistic regression found no maximum")

    monkeypatch.setattr("mole_jax.evaluation.calibration_curve.fit_logistic", fail)
    assert estimates(make(400))["curve"] == {"rows": [], "reason": "logistic regression found no maximum"}


def test_observed_over_expected_word_for_word(clustered):
    """A t interval of the logarithm, from the sums over lesions of label - ratio * score."""
    p = clustered
    ratio = p.label.sum() / p.score.sum()
    pulls = [(p.label - ratio * p.score)[p.lesion_id == lesion].sum() for lesion in np.unique(p.lesion_id)]
    g = len(pulls)
    error = np.sqrt(g / (g - 1) * np.square(pulls).sum()) / p.label.sum()
    rarer = min(len(np.unique(p.lesion_id[p.label == of])) for of in (0, 1))
    half = student.ppf(0.975, rarer - 1) * error
    found = observed_expected(p.score, p.label, p.groups)
    assert (found["value"], found["low"], found["high"]) == pytest.approx(
        (ratio, ratio * np.exp(-half), ratio * np.exp(half)), rel=1e-12
    )


def test_the_interval_of_the_temperature_is_that_of_its_logarithm(clustered):
    logits = logits_of(clustered)
    (beta,), ((variance,),) = fit_logistic(logits[:, None], clustered.label, clustered.groups)
    rarer = min(len(np.unique(clustered.lesion_id[clustered.label == of])) for of in (0, 1))
    half = student.ppf(0.975, rarer - 1) * np.sqrt(variance) / beta  # of log(1 / beta), by the delta method
    found = fit_temperature(clustered)
    assert beta != pytest.approx(1, abs=0.02)
    assert (found["low"], found["high"]) == pytest.approx((np.exp(-half) / beta, np.exp(half) / beta), rel=1e-12)


def test_the_knots_of_the_curve_are_the_tenth_fiftieth_and_ninetieth_percentile(clustered):
    logits = logits_of(clustered)
    a, b, c = np.quantile(logits, [0.1, 0.5, 0.9])

    def basis(x):  # Harrell's restricted cubic spline with three knots, from its definition
        cubes = [np.clip(x - knot, 0, None) ** 3 for knot in (a, b, c)]
        return np.column_stack(
            [np.ones_like(x), x, cubes[0] - cubes[1] * (c - a) / (c - b) + cubes[2] * (b - a) / (c - b)]
        )

    fitted = sm.GLM(clustered.label, basis(logits), family=sm.families.Binomial()).fit()
    rows = calibration_curve(logits, clustered.label, clustered.groups)["rows"]
    score = np.array([row["score"] for row in rows])
    expected = fitted.predict(basis(np.log(score / (1 - score))))
    assert [row["observed"]["value"] for row in rows] == pytest.approx(expected, rel=1e-6)
