import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.evaluation.statistics.delong import delong_auroc, delong_test, placements


def slow_covariance(scores, label):
    """DeLong's formulas word for word: every pair of a positive and a negative."""
    v10, v01 = [], []
    for score in scores:
        x, y = score[label == 1][:, None], score[label == 0][None, :]
        wins = (x > y) + 0.5 * (x == y)
        v10.append(wins.mean(axis=1))
        v01.append(wins.mean(axis=0))
    return np.cov(v10) / len(v10[0]) + np.cov(v01) / len(v01[0])


def scores(n, seed, digits):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(int)
    a = label + rng.normal(size=n)
    b = 0.7 * label + 0.5 * a + rng.normal(size=n)
    return label, a.round(digits), b.round(digits)


def test_worked_by_hand():
    label, score = np.array([1, 1, 0, 0]), np.array([0.8, 0.4, 0.4, 0.1])
    of_positives, of_negatives = placements(score, label)
    assert of_positives.tolist() == [1.0, 0.75]
    assert of_negatives.tolist() == [0.75, 1.0]
    # Every image three times: the variance of 1, 1, 1, .75, .75, .75 is .01875, over six images of either class.
    found = delong_auroc(np.tile(score, 3), np.tile(label, 3))
    assert found["value"] == 0.875
    assert found["low"] == pytest.approx(0.875 - 1.959963984540054 * (2 * 0.01875 / 6) ** 0.5)
    assert found["high"] == 1.0  # clamped


@pytest.mark.parametrize("digits", [0, 1, 8])
def test_agrees_with_the_definition(digits):
    label, a, b = scores(150, digits, digits)
    covariance = slow_covariance([a, b], label)
    one, two = delong_auroc(a, label), delong_test(a, b, label)
    assert one["value"] == pytest.approx(sk.roc_auc_score(label, a), rel=1e-12)
    assert (one["high"] - one["low"]) / 2 / 1.959963984540054 == pytest.approx(np.sqrt(covariance[0, 0]), rel=1e-9)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert two["value"] == pytest.approx(sk.roc_auc_score(label, a) - sk.roc_auc_score(label, b))
    assert two["z"] == pytest.approx(two["value"] / np.sqrt(variance), rel=1e-9)


@pytest.mark.parametrize("digits", [1, 8])
def test_agrees_with_mlstatkit(digits):
    mlstatkit = pytest.importorskip("MLstatkit")
    label, a, b = scores(300, 5, digits)
    z, p, interval_a, _ = mlstatkit.Delong_test(label, a, b, return_auc=False)
    found = delong_test(a, b, label)
    assert abs(found["z"]) == pytest.approx(abs(z), rel=1e-6)
    assert found["p_value"] == pytest.approx(p, rel=1e-5)
    one = delong_auroc(a, label)
    assert (one["low"], one["high"]) == pytest.approx(interval_a, abs=1e-6)


def test_equal_models_do_not_differ():
    label, a, _ = scores(100, 1, 2)
    found = delong_test(a, 2 * a, label)
    assert (found["value"], found["z"], found["p_value"]) == (0, 0, 1)


def test_too_few_images_have_no_interval():
    score = np.array([0.1, 0.2, 0.3])
    assert delong_auroc(score, np.zeros(3, dtype=int))["reason"] == "only one class is present"
    one = delong_auroc(score, np.array([0, 0, 1]))
    assert (one["value"], one["low"], one["reason"]) == (1.0, None, "1 image of a class; an interval needs 5")
    label = np.repeat([0, 1], 4)
    score = np.linspace(0, 1, 8)
    found = delong_test(score, -score, label)
    assert (found["value"], found["low"], found["reason"]) == (1.0, None, "4 images of a class; an interval needs 5")
    assert "p_value" not in found
    assert "p_value" not in delong_test(score, score, np.zeros(8, int))


def test_what_does_not_vary_is_not_certain():
    label = np.repeat([0, 1], 6)
    perfect, reversed_ = label.astype(float), 1.0 - label
    found = delong_auroc(perfect, label)
    assert (found["value"], found["low"]) == (1.0, None)
    assert found["reason"].startswith("nothing varies from image to image")
    test = delong_test(perfect, reversed_, label)
    assert (test["value"], test["low"]) == (1.0, None)
    assert "p_value" not in test


@pytest.mark.parametrize("sign", [1, -1])
def test_a_difference_is_bounded_by_one(sign):
    label = np.repeat([0, 1], 6)
    second = 1.0 - label
    second[[0, 6]] = [0.1, 0.6]
    a, b = (label.astype(float), second)[::sign]
    found = delong_test(a, b, label)
    assert found["value"] * sign > 0.6
    assert (found["high"] if sign == 1 else found["low"]) == sign


def test_five_images_of_a_class_have_an_interval():
    label = np.repeat([1, 0], [5, 12])
    score = np.random.default_rng(0).normal(label, 1.0)
    assert delong_auroc(score, label)["low"] is not None
    assert delong_test(score, score[::-1], label)["low"] is not None
