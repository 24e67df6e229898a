import numpy as np
import pytest
from scipy.special import logit
from scipy.stats import t as student
from sklearn.metrics import roc_auc_score

from mole_jax.evaluation.statistics.area import (
    auroc_influence,
    cluster_auroc,
    cluster_auroc_difference,
    cluster_mean_auroc,
    cluster_partial_auroc,
    hanley_mcneil,
    partial_influence,
)
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.delong import delong_test
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.metrics import auroc, partial_auroc


def patients(seed, n=240, per_patient=4, noise=1.0):
    """Images of patients who have lesions of both classes, with ties."""
    rng = np.random.default_rng(seed)
    patient = np.repeat(np.arange(n // per_patient), per_patient)
    label = (rng.random(n) < 0.35).astype(int)
    effect = rng.normal(size=n // per_patient)[patient]
    return (1.4 * label + effect + noise * rng.normal(size=n)).round(1), label, patient


def obuchowski(score, label, group):
    """His formulas word for word: sums over the images of each group, three sums of squares."""
    positive, negative = score[label == 1], score[label == 0]
    m, n = len(positive), len(negative)
    area = np.mean([(x > negative).mean() + (x == negative).mean() / 2 for x in positive])
    names = np.unique(group)
    x, y = [], []
    for name in names:
        of = group == name
        own, others = score[of & (label == 1)], score[of & (label == 0)]
        x.append(sum(((s > negative) + (s == negative) / 2).mean() - area for s in own))
        y.append(sum(((positive > s) + (positive == s) / 2).mean() - area for s in others))
    x, y = np.array(x), np.array(y)
    i10 = len(np.unique(group[label == 1]))
    i01 = len(np.unique(group[label == 0]))
    s10 = i10 / ((i10 - 1) * m) * (x**2).sum()
    s01 = i01 / ((i01 - 1) * n) * (y**2).sum()
    s11 = len(names) / (len(names) - 1) * (x * y).sum()
    return s10 / m + s01 / n + 2 * s11 / (m * n)


@pytest.mark.parametrize("seed", [0, 1])
def test_the_variance_is_obuchowskis_with_groups_of_both_classes(seed):
    score, label, patient = patients(seed)
    groups = group_images(patient, label)
    assert (groups.stratum == 2).sum() > 20
    found = auroc_influence(score, label, groups)
    assert found.variance == pytest.approx(obuchowski(score, label, patient), rel=1e-10)
    assert auroc_influence(score, label, group_images(np.arange(len(label)), label)).variance != found.variance


@pytest.mark.parametrize(("influence", "area"), [(auroc_influence, auroc), (partial_influence, partial_auroc)])
def test_an_influence_is_the_derivative_by_the_weight_of_a_group(influence, area):
    score, label, patient = patients(2)
    score = score + np.random.default_rng(0).normal(scale=1e-3, size=len(score))  # a kink of the partial area at a tie
    groups = group_images(patient, label)
    found = influence(score, label, groups)
    counter = Counter(score, label, groups)
    step = 1e-5
    up, down = np.ones((groups.count, 2)), np.ones((groups.count, 2))
    for g in range(0, groups.count, 7):
        weights = np.ones((groups.count, 2))
        weights[g] += [step, -step]
        high, low = area(counter.count(weights))
        derivative = (high - low) / (2 * step)
        assert found.of_positives[g] + found.of_negatives[g] == pytest.approx(derivative, abs=2e-4 * found.value), g
    assert area(counter.count(up)) == pytest.approx(area(counter.count(down)))
    assert found.value == pytest.approx(float(area(counter.count(up))[0]))


def test_the_degrees_of_freedom_are_welchs():
    score, label, patient = patients(3)
    label = label[np.searchsorted(patient, patient)]  # of one class each: that of a patient's first image
    groups = group_images(patient, label)
    found = auroc_influence(score, label, groups)
    p, n = groups.positives, groups.negatives
    # SciPy's Welch test of two samples whose variances of the mean are these gives the same.
    v, w = (found.of_positives**2).sum() * p / (p - 1), (found.of_negatives**2).sum() * n / (n - 1)
    assert found.parts == pytest.approx((v, w, 0))
    assert found.df == pytest.approx((v + w) ** 2 / (v**2 / (p - 1) + w**2 / (n - 1)))
    assert min(p, n) - 1 <= found.df <= p + n - 2


def test_the_interval_is_where_the_estimate_is_t_errors_away():
    score, label, patient = patients(4)
    groups = group_images(patient, label)
    found, influence = cluster_auroc(score, label, groups), auroc_influence(score, label, groups)
    numbers = groups.effective(label == 1), groups.effective(label == 0)
    ratio = influence.variance / hanley_mcneil(influence.value, *numbers)
    ratio = (influence.df * ratio + 4) / (influence.df + 4)
    for end in (found["low"], found["high"]):
        error = np.sqrt(ratio * hanley_mcneil(end, *numbers))
        assert abs(found["value"] - end) / error == pytest.approx(student.ppf(0.975, influence.df), rel=1e-9)
    assert found["method"] == "cluster_score"


def test_a_perfect_area_has_an_interval():
    label = np.repeat([0, 1], 12)
    few = cluster_auroc(label.astype(float), label, group_images(np.arange(24), label))
    assert (few["value"], few["high"]) == (1, 1)
    assert 0.7 < few["low"] < 0.95
    label = np.repeat([0, 1], 60)
    many = cluster_auroc(label.astype(float), label, group_images(np.arange(120), label))
    assert few["low"] < many["low"] < 1
    worst = cluster_auroc(1.0 - label, label, group_images(np.arange(120), label))
    assert (worst["value"], worst["low"]) == (0, 0)
    assert worst["high"] > 0


def test_an_interval_needs_five_groups_of_each_class_and_the_partial_area_twenty():
    label = np.concatenate([np.ones(4, int), np.zeros(30, int)])
    score = np.linspace(1, 0, 34)
    found = cluster_auroc(score, label, group_images(np.arange(34), label))
    assert (found["value"], found["low"]) == (1, None)
    assert found["reason"] == "4 lesions with melanoma; an interval needs 5"
    found = cluster_auroc(score, 1 - label, group_images(np.arange(34), 1 - label))
    assert found["reason"] == "4 lesions without melanoma; an interval needs 5"
    label[4] = 1
    assert cluster_auroc(score, label, group_images(np.arange(34), label))["low"] is not None
    assert (
        cluster_partial_auroc(score, label, group_images(np.arange(34), label))["reason"]
        == "5 lesions with melanoma; an interval needs 20"
    )


def test_the_partial_interval_stays_within_its_scale():
    score, label, patient = patients(5, n=400)
    found = cluster_partial_auroc(score, label, group_images(patient, label))
    assert 0 < found["low"] < found["value"] < found["high"] < 0.2
    # On the logit scale of its share of .2, with the degrees of freedom of a fifth of the groups that have a melanoma.
    influence = partial_influence(score, label, groups := group_images(patient, label))
    share = influence.value / 0.2
    half = np.sqrt(influence.variance) / 0.2 / (share * (1 - share)) * student.ppf(0.975, 0.2 * groups.positives - 1)
    assert logit(found["high"] / 0.2) - logit(share) == pytest.approx(half)
    assert logit(share) - logit(found["low"] / 0.2) == pytest.approx(half)
    perfect = cluster_partial_auroc(label.astype(float), label, group_images(patient, label))
    assert (perfect["value"], perfect["low"]) == (pytest.approx(0.2), None)
    assert "says nothing of its uncertainty" in perfect["reason"]


def test_the_difference_is_delongs_where_every_image_is_a_group_but_for_t():
    score, label, _ = patients(6)
    other = score + np.random.default_rng(1).normal(size=len(score))
    found, test = cluster_auroc_difference(score, other, label, group_images(np.arange(len(label)), label))
    delong = delong_test(score, other, label)
    assert found["value"] == pytest.approx(delong["value"])
    assert test["t"] == pytest.approx(delong["z"], rel=1e-10)
    assert test["p_value"] == pytest.approx(2 * student.sf(abs(test["t"]), test["df"]))
    half = student.ppf(0.975, test["df"]) * found["value"] / test["t"]
    assert (found["low"], found["high"]) == pytest.approx((found["value"] - half, found["value"] + half))
    wider, _ = cluster_auroc_difference(
        score, other, label, group_images(np.arange(len(label)), label), level=1 - 0.05 / 3
    )
    assert wider["high"] - wider["value"] == pytest.approx(
        student.ppf(1 - 0.025 / 3, test["df"]) * found["value"] / test["t"]
    )


def test_a_difference_is_bounded_by_one():
    """Eleven of each class, ordered one way by the first model and mostly the other way by the second."""
    label = np.repeat([0, 1], 11)
    first = label.astype(float)
    second = 1.0 - label
    second[[0, 1, 11, 12]] = [0.1, 0.2, 0.6, 0.3]
    found, _ = cluster_auroc_difference(first, second, label, group_images(np.arange(22), label))
    assert found["value"] > 0.7
    assert found["high"] == 1
    found, _ = cluster_auroc_difference(second, first, label, group_images(np.arange(22), label))
    assert found["low"] == -1


def test_there_is_no_test_of_few_groups_nor_of_equal_models():
    score, label, patient = patients(7)
    found, test = cluster_auroc_difference(score, 2 * score, label, group_images(patient, label))
    assert (found["value"], found["low"], test) == (0, None, None)
    assert found["reason"] == "the two rank every pair of images alike"
    few = np.arange(36)
    found, test = cluster_auroc_difference(score[few], -score[few], label[few], group_images(patient[few], label[few]))
    assert test is None
    assert found["reason"].endswith("an interval needs 10")


def test_the_mean_area_of_several_models_varies_as_their_bootstrap_does():
    rng = np.random.default_rng(5)
    label = np.repeat(np.arange(2), 150)
    common = rng.normal(size=300) + label
    scores = [common + rng.normal(size=300) for _ in range(3)]
    groups = group_images(np.repeat(np.arange(150), 2).astype(str), label)
    found = cluster_mean_auroc(scores, label, groups)
    np.testing.assert_allclose(found["value"], np.mean([roc_auc_score(label, score) for score in scores]))
    means = []
    for _ in range(400):
        drawn = (2 * rng.integers(0, 150, 150)[:, None] + np.arange(2)).ravel()
        means.append(np.mean([roc_auc_score(label[drawn], score[drawn]) for score in scores]))
    np.testing.assert_allclose([found["low"], found["high"]], np.quantile(means, [0.025, 0.975]), atol=0.012)
    one = cluster_auroc(scores[0], label, groups)
    assert cluster_mean_auroc(scores[:1], label, groups) == one
    assert found["high"] - found["low"] < one["high"] - one["low"]


def test_the_mean_area_needs_both_classes_and_enough_lesions():
    label = np.array([0, 1, 0, 1])
    groups = group_images(np.arange(4).astype(str), label)
    assert cluster_mean_auroc([label * 1.0], label, groups)["low"] is None
    assert cluster_mean_auroc([label * 1.0], np.zeros(4, int), groups)["value"] is None
