import numpy as np
import pytest
import sklearn.metrics as sk
from scipy.stats import beta

from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import choose_operating_points, coinciding, given_threshold, main_point
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


def test_the_main_point_is_that_of_95_percent_unless_one_is_named():
    p = simple([1] * 20 + [0] * 20, np.linspace(0.95, 0.05, 40))
    points = choose_operating_points(p)
    assert main_point(points).name == "sensitivity_0.95"
    assert main_point([given_threshold(0.3), *points]).name == "given"
    assert main_point(choose_operating_points(p, (0.8, 0.9))).name == "sensitivity_0.8"
    assert main_point(choose_operating_points(simple([0, 0], [0.1, 0.2]))).name == "accuracy"
    assert main_point([]) is None


def test_a_threshold_for_95_percent_of_twenty_falls_short_three_times_in_four():
    """The sensitivity of the second lowest of twenty, on new melanomas, is Beta(19, 2)."""
    p = simple([1] * 20 + [0] * 5, [0.5 + i / 100 for i in range(20)] + [0.1] * 5)
    point = {point.name: point for point in choose_operating_points(p)}["sensitivity_0.95"]
    assert point.target == 0.95
    assert point.expected == pytest.approx(19 / 21)
    assert point.short == pytest.approx(beta.cdf(0.95, 19, 2))
    assert point.short == pytest.approx(0.736, abs=0.001)
    drawn = 1 - np.sort(np.random.default_rng(0).random((4000, 20)), axis=1)[:, 1]  # scores uniform on [0, 1]
    assert drawn.mean() == pytest.approx(point.expected, abs=0.004)
    assert (drawn < 0.95).mean() == pytest.approx(point.short, abs=0.03)


def test_ties_at_the_threshold_count_as_found():
    p = simple([1] * 20 + [0] * 5, [0.9] * 10 + [0.5] * 10 + [0.1] * 5)
    point = {point.name: point for point in choose_operating_points(p)}["sensitivity_0.9"]
    assert (point.threshold, point.expected) == (0.5, pytest.approx(20 / 21))


def test_lesions_with_several_images_say_less_than_as_many_images(make):
    p = make(400, seed=3, images_per_lesion=4)
    alone = Predictions(p.image_id, p.label, p.score)
    clustered, single = (
        {point.name: point for point in choose_operating_points(of)}["sensitivity_0.95"] for of in (p, alone)
    )
    assert clustered.threshold == single.threshold
    lesions, images = p.label.sum() / 4, p.label.sum()
    found = (p.score[p.label == 1] >= clustered.threshold).mean()
    assert clustered.expected == pytest.approx(found * lesions / (lesions + 1))
    assert single.expected == pytest.approx(found * images / (images + 1))


def test_a_confident_threshold_keeps_its_promise():
    """Of 59 melanomas the lowest is enough for 95 % at 95 % confidence (.95 ** 59 < .05 < .95 ** 58), of 58 none is."""
    for melanomas, enough in ((58, False), (59, True)):
        score = np.concatenate([np.linspace(0.4, 0.9, melanomas), np.full(30, 0.1)])
        label = np.repeat([1, 0], [melanomas, 30])
        points = {point.name: point for point in choose_operating_points(simple(label, score), confidence=0.95)}
        point = points["confident_0.95"]
        assert (point.threshold is not None) == enough
        if not enough:
            assert point.reason == (
                "validation has 58 melanoma lesions (effective number); a sensitivity of 0.95 at 0.95 confidence "
                "needs 59"
            )
    assert point.threshold == 0.4
    assert point.short <= 0.05
    assert points["confident_0.9"].threshold > points["confident_0.95"].threshold
    assert points["confident_0.9"].threshold < points["sensitivity_0.9"].threshold
    assert points["confident_0.98"].threshold is None
    assert "confident_0.95" not in by_name(simple(label, score))


def test_the_confident_threshold_is_the_highest():
    score = np.concatenate([np.linspace(0.4, 0.9, 200), np.full(30, 0.1)])
    label = np.repeat([1, 0], [200, 30])
    threshold = by_name(simple(label, score), confidence=0.9)["confident_0.95"]
    above = score[score > threshold].min()
    melanomas = score[label == 1]
    for cut, kept in ((threshold, True), (above, False)):
        found = (melanomas >= cut).sum()
        assert (beta.cdf(0.95, found, 201 - found) <= 0.1) == kept


def test_never_missing_any_cannot_be_shown():
    p = simple([1] * 30 + [0], np.linspace(1, 0, 31))
    points = {point.name: point for point in choose_operating_points(p, (1.0,), confidence=0.95)}
    assert points["confident_1"].reason == "no number of lesions can show that none is ever missed"
    assert points["sensitivity_1"].short == 1


def test_targets_that_give_one_threshold_are_named():
    p = simple([1] * 5 + [0] * 5, np.linspace(1, 0, 10))
    assert coinciding(choose_operating_points(p)) == [["sensitivity_0.9", "sensitivity_0.95", "sensitivity_0.98"]]
    assert coinciding([given_threshold(0.5)]) == []


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
    assert melanomas["youden"].reason == "validation has no image without melanoma"
    assert melanomas["sensitivity_0.95"].threshold == 0.1


def test_impossible_numbers_are_told(single):
    with pytest.raises(UserError, match=r"target_sensitivity=95.0 is not in \(0, 1\]; give for example 0.95"):
        choose_operating_points(single, (95.0,))
    with pytest.raises(UserError, match=r"threshold_confidence=95 is not in \(0, 1\); give for example 0.95"):
        choose_operating_points(single, confidence=95)
    with pytest.raises(UserError, match=r"threshold=50 is not in \[0, 1\]"):
        given_threshold(50)
    assert given_threshold(0.5).chosen_on == "given"
    assert (given_threshold(0).threshold, given_threshold(1).threshold) == (0, 1)


def test_rounding_of_a_target_asks_for_no_melanoma_more():
    """.28 of 25 is 7, which float64 makes 7.000000000000001."""
    assert 0.28 * 25 > 7
    score = np.linspace(0.9, 0.1, 25)
    p = Predictions(np.arange(26).astype(str), np.append(np.ones(25, int), 0), np.append(score, 0.05))
    (point,) = [point for point in choose_operating_points(p, [0.28]) if point.target == 0.28]
    assert point.threshold == score[6]
