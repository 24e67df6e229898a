"""Scores, calibrated risk and risk at a prevalence, worked by hand."""

import numpy as np
import pytest
from scipy.special import expit, logit

from mole_jax.classifier.decision import Decision, freeze
from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions

POINT = OperatingPoint("sensitivity_0.95", "highest threshold with sensitivity >= 0.95", "validation", 0.5)
NONE = OperatingPoint("youden", "largest sensitivity + specificity", "validation", None, "validation has no mole")
DECISION = Decision((POINT, NONE), (2.0, -1.0), 1.5, "", 0.5, 0.1)
LOGITS = np.array([-1.0, 0.0, 1.0], np.float32)


def test_the_risk_is_the_calibrated_score_moved_to_another_prevalence():
    calibrated = expit(2 * np.array([-1.0, 0, 1]) - 1)
    np.testing.assert_allclose(DECISION.calibrated(LOGITS), calibrated)
    # By Bayes: the odds times (.1/.9) / (.5/.5).
    odds = calibrated / (1 - calibrated) * (0.1 / 0.9)
    np.testing.assert_allclose(DECISION.risk(LOGITS), odds / (1 + odds))
    np.testing.assert_allclose(DECISION.risk(LOGITS, prevalence=0.5), calibrated)
    assert DECISION.risk(LOGITS, prevalence=0.5).dtype == np.float64


def test_calls_are_at_the_frozen_threshold_of_the_score():
    assert DECISION.called(LOGITS).tolist() == [False, True, True]
    with pytest.raises(UserError, match=r"no operating point 'best'; it has sensitivity_0.95, youden"):
        DECISION.called(LOGITS, "best")
    with pytest.raises(UserError, match=r"the operating point youden has no threshold: validation has no mole"):
        DECISION.called(LOGITS, "youden")


def predictions(logits, labels):
    return Predictions(
        image_id=np.array([f"i{i}" for i in range(len(logits))]),
        label=np.array(labels),
        score=expit(np.array(logits)),
        logit=np.array(logits),
    )


def test_freezing_fits_what_scikit_learn_fits():
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    labels = random.integers(0, 2, 400)
    logits = 3 * labels + random.normal(0, 2, 400)
    decision = freeze(predictions(logits, labels), prevalence=0.11)
    reference = LogisticRegression(C=np.inf, tol=1e-10).fit(logits[:, None], labels)
    np.testing.assert_allclose(decision.platt, (reference.coef_[0, 0], reference.intercept_[0]), rtol=1e-4)
    assert decision.calibrated_at == labels.mean()
    assert decision.prevalence == 0.11
    threshold = decision.point().threshold
    assert (expit(logits[labels == 1]) >= threshold).mean() >= 0.95
    np.testing.assert_allclose(logit(decision.calibrated(np.array([0.0]))), decision.platt[1])


def test_scores_that_allow_no_calibration_say_why():
    decision = freeze(predictions([3.0, 2, -2, -3], [1, 1, 0, 0]), prevalence=0.5)
    assert decision.platt is None
    assert "separate the classes" in decision.why_uncalibrated
    with pytest.raises(ValueError, match="not calibrated: the scores separate the classes"):
        decision.risk(np.zeros(1, np.float32))
