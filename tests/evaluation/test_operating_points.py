import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import choose_operating_points, given_threshold
from mole_jax.evaluation.predictions import Predictions


def by_name(p, **options):
    return {point.name: point.threshold for point in choose_operating_points(p, **options)}


def simple(label, score):
    return Predictions(np.arange(len(label)).astype(str), np.array(label), np.array(score))


@pytest.mark.parametrize("digits", [None, 1])
def test_agrees_with_a_search_by_scikit_learn(make, digits):
    p = make(200, seed=2, digits=digits)
    found = by_name(p)
    grid = np.linspace(0, 1, 1000, endpoint=False)
    best = max(sk.accuracy_score(p.label, p.score >= t) for t in grid)
    assert found["accuracy"] == min(t for t in grid if sk.accuracy_score(p.label, p.score >= t) == best)
    fpr, tpr, thresholds = sk.roc_curve(p.label, p.score, drop_intermediate=False)
    assert found["youden"] == pytest.approx(thresholds[np.argmax(np.round(tpr - fpr, 12))])
    for target in (0.9, 0.95, 0.98):
        reaching = [t for t in np.unique(p.score) if sk.recall_score(p.label, p.score >= t) >= target]
        assert found[f"sensitivity_{target:g}"] == max(reaching)


def test_the_papers_threshold_comes_first(single):
    assert [point.name for point in choose_operating_points(single)] == [
        "accuracy",
        "youden",
        "sensitivity_0.9",
        "sensitivity_0.95",
        "sensitivity_0.98",
    ]


def test_nineteen_of_twenty_are_ninety_five_percent():
    p = simple([1] * 20 + [0] * 5, [0.5 + i / 100 for i in range(20)] + [0.1] * 5)
    assert by_name(p, target_sensitivity=(0.95, 0.96))["sensitivity_0.95"] == 0.51
    assert by_name(p, target_sensitivity=(0.95, 0.96))["sensitivity_0.96"] == 0.5


def test_ties_go_to_the_lowest_threshold():
    p = simple([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    assert by_name(p)["accuracy"] == 0.201  # the grid's first above .2
    assert by_name(p)["youden"] == 0.8


def test_one_class_has_no_threshold_but_a_reason():
    moles = {point.name: point for point in choose_operating_points(simple([0, 0], [0.1, 0.2]))}
    assert moles["accuracy"].threshold is not None
    for name in ("youden", "sensitivity_0.95"):
        assert (moles[name].threshold, moles[name].reason) == (None, "validation has no melanoma")
    melanomas = {point.name: point for point in choose_operating_points(simple([1, 1], [0.1, 0.2]))}
    assert melanomas["youden"].reason == "validation has no mole"
    assert melanomas["sensitivity_0.95"].threshold == 0.1


def test_impossible_numbers_are_told(single):
    with pytest.raises(UserError, match=r"target_sensitivity=95.0 is not in \(0, 1\]; give for example 0.95"):
        choose_operating_points(single, (95.0,))
    with pytest.raises(UserError, match=r"threshold=50 is not in \[0, 1\]"):
        given_threshold(50)
    assert given_threshold(0.5).chosen_on == "given"
