import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.errors import UserError
from mole_jax.evaluation.costs import at_budget, expected_cost
from mole_jax.evaluation.operating_points import OperatingPoint, given_threshold
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.summary import evaluate

HALF = given_threshold(0.5)


def test_cost_is_the_confusion_matrix_at_its_prices(clustered):
    found = expected_cost(clustered, [HALF], miss=20, false_alarm=1, resamples=100, seed=0)
    _, fp, fn, _ = sk.confusion_matrix(clustered.label, clustered.score >= 0.5).ravel()
    of = found["operating_points"]["given"]
    assert of["value"] == pytest.approx((20 * fn + fp) / clustered.n)
    assert of["low"] < of["value"] < of["high"]
    assert found["call_all"]["value"] == pytest.approx(1 - clustered.label.mean())
    assert found["call_none"]["value"] == pytest.approx(20 * clustered.label.mean())


def test_a_point_without_threshold_has_no_cost(clustered):
    none = OperatingPoint("youden", "rule", "validation", None, "why")
    assert expected_cost(clustered, [none], miss=1, false_alarm=1, resamples=20, seed=0)["operating_points"] == {}


@pytest.mark.parametrize("costs", [(-1, 1), (0, 0), (float("nan"), 1), (float("inf"), 1)])
def test_impossible_costs_are_refused(single, costs):
    with pytest.raises(UserError, match="are not two numbers from 0, one above it; give 20,1"):
        evaluate(single, costs=costs, resamples=20)


def test_a_budget_finds_the_melanomas_among_the_highest_scores(single):
    found = at_budget(single, 50, resamples=200, seed=0)
    highest = np.argsort(-single.score)[:50]
    hits = single.label[highest].sum()
    assert found["sensitivity"]["value"] == pytest.approx(hits / single.label.sum())
    assert found["ppv"]["value"] == pytest.approx(hits / 50)
    assert found["lowest_score"] == single.score[highest].min()
    assert found["tied"] == 1
    for key in ("sensitivity", "ppv"):
        assert found[key]["low"] < found[key]["value"] < found[key]["high"]


def test_ties_at_the_last_place_count_as_drawing_among_them_does():
    # Two images are sure of a place; four tie for the third, one of them a melanoma: it gets it in a quarter of draws.
    p = Predictions(
        np.arange(8).astype(str), np.array([1, 0, 1, 0, 0, 0, 0, 0]), np.array([0.9, 0.8, *[0.5] * 4, 0.1, 0.1])
    )
    found = at_budget(p, 3, resamples=20, seed=0)
    assert found["sensitivity"]["value"] == pytest.approx(1.25 / 2)
    assert found["ppv"]["value"] == pytest.approx(1.25 / 3)
    assert found["tied"] == 4


def test_all_images_as_budget_find_all(single):
    found = at_budget(single, single.n, resamples=20, seed=0)
    assert found["sensitivity"]["value"] == 1
    assert found["ppv"]["value"] == pytest.approx(single.label.mean())


@pytest.mark.parametrize("budget", [0, 401])
def test_impossible_budgets_are_refused(single, budget):
    with pytest.raises(UserError, match=f"a budget of {budget} is not between 1 and the 400 images"):
        evaluate(single, budgets=[budget], resamples=20)


def test_no_melanoma_has_a_reason():
    p = Predictions(np.array(["a", "b"]), np.array([0, 0]), np.array([0.1, 0.2]))
    found = at_budget(p, 1, resamples=20, seed=0)
    assert found["sensitivity"]["reason"] == "there is no melanoma"
    assert found["ppv"]["value"] == 0
