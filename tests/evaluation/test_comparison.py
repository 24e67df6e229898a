import dataclasses

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from mole_jax.errors import UserError
from mole_jax.evaluation.comparison import compare, differences, holm, mcnemar_exact
from mole_jax.evaluation.cross_fitting import cross_fitted_points, folds_of
from mole_jax.evaluation.operating_points import given_threshold
from mole_jax.evaluation.split_estimates import split_estimates
from mole_jax.evaluation.statistics.delong import delong_test
from mole_jax.evaluation.statistics.groups import group_images

HALF = given_threshold(0.5)


def perturbed(p, noise, seed, source):
    rng = np.random.default_rng(seed)
    score = np.clip(p.score + rng.normal(scale=noise, size=p.n), 0, 1)
    return dataclasses.replace(p, score=score, source=source)


@pytest.fixture
def models(make):
    a = make(600, seed=1, images_per_lesion=2, source="a.csv")
    return {"a": a, "b": perturbed(a, 0.2, 2, "b.csv"), "c": perturbed(a, 0.01, 3, "c.csv")}


def test_differences_are_paired(models):
    found = compare({"a": models["a"], "c": models["c"]}, resamples=300, seed=0)
    estimate = found["pairs"][0]["difference"]["auroc"]
    assert estimate["low"] <= estimate["value"] <= estimate["high"]
    alone = split_estimates(models["a"], [], resamples=300, seed=0)["auroc"]
    assert found["models"]["a"]["auroc"]["low"] == alone["low"]
    # Nearly the same scores: an unpaired interval would be as wide as that of one model.
    assert estimate["high"] - estimate["low"] < 0.2 * (alone["high"] - alone["low"])


def test_order_of_rows_does_not_matter(models):
    order = np.random.default_rng(0).permutation(600)
    shuffled = models["b"].aligned_to(models["b"].image_id[order])
    points = {"a": HALF, "b": HALF}
    one = compare({"a": models["a"], "b": models["b"]}, points, resamples=50)
    assert compare({"a": models["a"], "b": shuffled}, points, resamples=50) == one


def test_delong_and_mcnemar_agree_with_their_references(models):
    points = dict.fromkeys(models, HALF)
    found = compare(models, points, resamples=50)
    assert [pair["models"] for pair in found["pairs"]] == [["a", "b"], ["a", "c"], ["b", "c"]]
    for pair in found["pairs"]:
        a, b = (models[name] for name in pair["models"])
        assert pair["delong"]["z"] == delong_test(a.score, b.score, a.label)["z"]
        right = [(m.score >= 0.5) == m.label for m in (a, b)]
        table = [
            [(right[0] & right[1]).sum(), (right[0] & ~right[1]).sum()],
            [(~right[0] & right[1]).sum(), (~right[0] & ~right[1]).sum()],
        ]
        assert [pair["mcnemar"]["only_first_right"], pair["mcnemar"]["only_second_right"]] == [table[0][1], table[1][0]]
        assert pair["mcnemar"]["p_value"] == pytest.approx(mcnemar(table, exact=True).pvalue)
    for kind in ("auroc_test", "delong", "mcnemar"):
        p = [pair[kind]["p_value"] for pair in found["pairs"]]
        expected = multipletests(p, method="holm")[1]
        assert [pair[kind]["p_value_holm"] for pair in found["pairs"]] == pytest.approx(expected)


@pytest.mark.parametrize("counts", [(0, 0), (0, 1), (5, 5), (3, 17), (40, 10)])
def test_mcnemar_agrees_with_statsmodels(counts):
    b, c = counts
    expected = 1.0 if b + c == 0 else mcnemar([[0, b], [c, 0]], exact=True).pvalue
    assert mcnemar_exact(b, c) == pytest.approx(expected)


@pytest.mark.parametrize("p_values", [[0.04], [0.01, 0.04, 0.03], [0.5, 0.5, 0.9], [0.001, 0.001, 0.2, 0.7]])
def test_holm_agrees_with_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1])


def test_intervals_of_several_pairs_are_each_for_itself_and_simultaneous_ones_beside(models):
    found = compare(models, dict.fromkeys(models, HALF), resamples=400)
    for pair in found["pairs"]:
        a, b = (models[name] for name in pair["models"])
        groups = group_images(a.group, a.label)
        scores = {"a": a.score, "b": b.score}
        for key, level in (("difference", 0.95), ("simultaneous", 1 - 0.05 / 3)):
            expected, _ = differences(scores, a.label, groups, {"a": 0.5, "b": 0.5}, resamples=400, seed=0, level=level)
            assert pair[key] == expected
        for key, of in pair["simultaneous"].items():
            assert of["low"] <= pair["difference"][key]["low"], key
            assert of["high"] >= pair["difference"][key]["high"], key
            assert of["value"] == pair["difference"][key]["value"]
    two = compare({"a": models["a"], "b": models["b"]}, resamples=20)
    assert "simultaneous" not in two["pairs"][0]


def test_few_lesions_have_neither_interval_nor_test(models):
    a = models["a"]
    few = np.isin(a.lesion_id, np.unique(a.lesion_id[a.label == 1])[:4]) | (a.label == 0)
    pair = compare({name: model.select(few) for name, model in models.items()}, resamples=20)["pairs"][0]
    assert pair["auroc_test"] is None
    for of in pair["difference"].values():
        assert of["low"] is None
        assert of["reason"] == "4 lesions with melanoma; an interval needs 10"


def test_thresholds_may_differ_and_without_them_there_is_no_mcnemar(models):
    pair = {"a": models["a"], "b": models["b"]}
    found = compare(pair, {"a": HALF, "b": given_threshold(0.2)}, resamples=20)
    assert (found["models"]["a"]["threshold"], found["models"]["b"]["threshold"]) == (0.5, 0.2)
    assert "accuracy" in found["pairs"][0]["difference"]
    few = {name: p.select((np.cumsum(p.label) <= 6) | (p.label == 0)) for name, p in pair.items()}
    without = compare(few, resamples=20)
    assert without["pairs"][0]["mcnemar"] is None
    assert "accuracy" not in without["pairs"][0]["difference"]


def test_without_points_thresholds_are_cross_fitted_in_the_same_folds(models):
    pair = {"a": models["a"], "b": models["b"]}
    found = compare(pair, resamples=50)
    for name, p in pair.items():
        (point,) = [of for of in cross_fitted_points(p, [0.95]) if of.name == "sensitivity_0.95"]
        called = p.score >= np.array(point.folds)[folds_of(p)]
        assert found["models"][name]["sensitivity"]["value"] == called[p.label == 1].mean()
        assert found["models"][name]["threshold"] == point.threshold
    difference = found["pairs"][0]["difference"]["sensitivity"]
    values = [found["models"][name]["sensitivity"]["value"] for name in pair]
    assert difference["value"] == pytest.approx(values[0] - values[1])
    assert found["pairs"][0]["mcnemar"] is not None
    assert "cross-fitted in 5 folds" in found["warnings"][0]


def test_different_images_are_refused_naming_the_first_few(models):
    fewer = models["b"].select(np.arange(600) >= 5)
    with pytest.raises(
        UserError, match=r"a\.csv has 5 images that b\.csv lacks, first ISIC_0000000, ISIC_0000001, ISIC_0000002 "
    ):
        compare({"a": models["a"], "b": fewer})
    with pytest.raises(UserError, match=r"a\.csv has 5 images that b\.csv lacks"):
        compare({"b": fewer, "a": models["a"]})


def test_different_labels_or_lesions_are_refused(models):
    b = models["b"]
    other = dataclasses.replace(b, label=np.where(np.arange(600) == 4, 1 - b.label, b.label))
    with pytest.raises(
        UserError, match=r"image ISIC_0000004 has label \d in a\.csv but \d in b\.csv \(1 such images\)"
    ):
        compare({"a": models["a"], "b": other})
    lesion = b.lesion_id.copy()
    lesion[0] = "L"
    with pytest.raises(UserError, match=r"image ISIC_0000000 has lesion ISIC_LESION_0000000 in a\.csv but L in b\.csv"):
        compare({"a": models["a"], "b": dataclasses.replace(b, lesion_id=lesion)})


def test_a_lesion_that_one_file_does_not_know_is_that_of_the_other(models):
    b = models["b"]
    lesion = np.where(np.arange(600) < 300, "", b.lesion_id)
    found = compare({"b": dataclasses.replace(b, lesion_id=lesion), "a": models["a"]}, resamples=20)
    assert found["data"]["groups"] == 300


def test_one_model_is_refused(models):
    with pytest.raises(UserError, match="1 model cannot be compared"):
        compare({"a": models["a"]})
