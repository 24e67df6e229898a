import dataclasses
from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics as sk
import statsmodels.api as sm
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit

from mole_jax.evaluation.calibration import calibration_estimates, fit_platt, fit_temperature, logits_of
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.groups import group_images


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
        assert found[name]["high"] - found[name]["value"] == pytest.approx(1.959963984540054 * error[i], rel=1e-5)
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
    assert found["ece"]["value"] == pytest.approx(np.abs(observed - mean).mean())
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


def test_logit_column_is_used_where_scores_are_rounded_to_one():
    p = Predictions(np.array(["a", "b"]), np.array([0, 1]), np.array([1.0, 1.0]), logit=np.array([40.0, 50.0]))
    assert logits_of(p).tolist() == [40, 50]
    clipped = logits_of(dataclasses.replace(p, logit=None))
    assert clipped.tolist() == pytest.approx([logit(1 - 1e-7)] * 2)
