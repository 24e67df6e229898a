import numpy as np
import pytest

from mole_jax.evaluation.prevalence import PREVALENCES, predictive_values, prevalence_estimates, prior_shift


@pytest.mark.parametrize(("prevalence", "expected"), [(0.5, 0.90), (0.11, 0.53), (0.018, 0.14)])
def test_ppv_falls_with_prevalence(prevalence, expected):
    ppv, npv = predictive_values(np.array([0.9]), np.array([0.9]), prevalence)
    assert ppv[0] == pytest.approx(expected, abs=0.005)
    assert npv[0] == pytest.approx(0.9 * (1 - prevalence) / (0.9 * (1 - prevalence) + 0.1 * prevalence))


def test_nothing_called_has_no_predictive_value():
    ppv, npv = predictive_values(np.array([0.0, 1.0]), np.array([1.0, 0.0]), 0.1)
    assert np.isnan(ppv).tolist() == [True, False]
    assert np.isnan(npv).tolist() == [False, True]


def test_shifted_scores_are_calibrated_in_the_other_population():
    # A score with known likelihood ratio: by Bayes, the odds are prior odds times the ratio.
    ratio = np.array([0.1, 1.0, 7.0])
    at_half = ratio / (1 + ratio)
    odds = 0.02 / 0.98 * ratio
    np.testing.assert_allclose(prior_shift(at_half, from_prevalence=0.5, to_prevalence=0.02), odds / (1 + odds))
    assert prior_shift(np.array([0.0, 1.0]), from_prevalence=0.5, to_prevalence=0.1).tolist() == [0, 1]


def test_estimates_follow_from_sensitivity_and_specificity(clustered):
    rows = prevalence_estimates(clustered, 0.3, threshold_risk=0.3, calibrated_at=0.3, resamples=100, seed=0)
    assert [row["prevalence"] for row in rows] == list(PREVALENCES)
    called = clustered.score >= 0.3
    sensitivity, specificity = called[clustered.label == 1].mean(), (~called[clustered.label == 0]).mean()
    for row in rows:
        expected = predictive_values(np.array([sensitivity]), np.array([specificity]), row["prevalence"])
        assert (row["ppv"]["value"], row["npv"]["value"]) == pytest.approx((expected[0][0], expected[1][0]))
        assert row["ppv"]["low"] < row["ppv"]["value"] < row["ppv"]["high"]
        odds = 0.3 / 0.7 * row["prevalence"] / (1 - row["prevalence"]) / (0.3 / 0.7)
        assert row["risk_at_threshold"] == pytest.approx(odds / (1 + odds))


def test_certain_rates_claim_no_interval(clustered):
    row = prevalence_estimates(clustered, 0.0, threshold_risk=0.0, calibrated_at=0.3, resamples=20, seed=0)[0]
    assert row["ppv"]["value"] == pytest.approx(0.018)
    assert row["ppv"]["low"] is None
    assert "sensitivity is 1" in row["ppv"]["reason"]
    assert row["npv"]["value"] is None
