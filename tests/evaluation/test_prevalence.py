import numpy as np
import pytest

from mole_jax.evaluation.prevalence import PREVALENCES, predictive_estimates, prevalence_estimates, prior_shift
from mole_jax.evaluation.statistics.intervals import estimate, ratio_interval, undefined, wilson


def share(successes, trials):
    return estimate(successes / trials, *wilson(successes, trials), "wilson_effective")


@pytest.mark.parametrize(("prevalence", "expected"), [(0.5, 0.90), (0.11, 0.53), (0.018, 0.14)])
def test_ppv_falls_with_prevalence(prevalence, expected):
    ppv, npv = predictive_estimates(share(90, 100), share(900, 1000), prevalence)
    assert ppv["value"] == pytest.approx(expected, abs=0.005)
    assert npv["value"] == pytest.approx(0.9 * (1 - prevalence) / (0.9 * (1 - prevalence) + 0.1 * prevalence))
    for of in (ppv, npv):
        assert of["low"] < of["value"] < of["high"]
        assert of["method"] == "mover_ratio"


def test_the_interval_is_that_of_the_likelihood_ratio():
    sensitivity, specificity = share(45, 50), share(160, 200)
    ppv, _ = predictive_estimates(sensitivity, specificity, 0.11)
    false_alarms = share(40, 200)
    odds = [0.11 / 0.89 * ratio for ratio in ratio_interval(sensitivity, false_alarms)]
    assert (ppv["low"], ppv["high"]) == pytest.approx([odd / (1 + odd) for odd in odds])


def test_no_miss_gives_an_npv_of_one_with_a_lower_bound():
    _, npv = predictive_estimates(share(20, 20), share(30, 60), 0.11)
    assert (npv["value"], npv["high"]) == (1, 1)
    assert 0.9 < npv["low"] < 1
    ppv, _ = predictive_estimates(share(10, 20), share(60, 60), 0.11)
    assert (ppv["value"], ppv["high"]) == (1, 1)
    assert 0.3 < ppv["low"] < 1


def test_nothing_called_has_no_predictive_value():
    ppv, npv = predictive_estimates(share(0, 20), share(60, 60), 0.1)
    assert (ppv["value"], ppv["reason"]) == (None, "no image is called positive")
    assert npv["value"] == pytest.approx(0.9)
    ppv, npv = predictive_estimates(share(20, 20), share(0, 60), 0.1)
    assert ppv["value"] == pytest.approx(0.1)
    assert (npv["value"], npv["reason"]) == (None, "no image is called negative")
    ppv, npv = predictive_estimates(undefined("there is no melanoma"), share(1, 2), 0.1)
    assert ppv["reason"] == npv["reason"] == "only one class is present"


def test_shifted_scores_are_calibrated_in_the_other_population():
    # A score with known likelihood ratio: by Bayes, the odds are prior odds times the ratio.
    ratio = np.array([0.1, 1.0, 7.0])
    at_half = ratio / (1 + ratio)
    odds = 0.02 / 0.98 * ratio
    np.testing.assert_allclose(prior_shift(at_half, from_prevalence=0.5, to_prevalence=0.02), odds / (1 + odds))
    assert prior_shift(np.array([0.0, 1.0]), from_prevalence=0.5, to_prevalence=0.1).tolist() == [0, 1]


def test_a_row_for_each_prevalence_with_the_risk_at_the_threshold():
    sensitivity, specificity = share(45, 50), share(160, 200)
    rows = prevalence_estimates(sensitivity, specificity, threshold_risk=0.3, calibrated_at=0.3)
    assert [row["prevalence"] for row in rows] == list(PREVALENCES)
    for row in rows:
        assert (row["ppv"], row["npv"]) == predictive_estimates(sensitivity, specificity, row["prevalence"])
        assert row["risk_at_threshold"] == pytest.approx(row["prevalence"])  # a score at the mean stays at the mean
    rows = prevalence_estimates(sensitivity, specificity, threshold_risk=None, calibrated_at=0.5)
    assert [row["risk_at_threshold"] for row in rows] == [None] * 4
