import dataclasses

import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.evaluation.operating_points import given_threshold
from mole_jax.evaluation.split_estimates import shares_at
from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.intervals import difference_of
from mole_jax.evaluation.subgroups import strange_ages, subgroup_contrasts, subgroup_estimates

HALF = given_threshold(0.5)


def with_metadata(p, **columns):
    return dataclasses.replace(p, metadata={name: np.array(column) for name, column in columns.items()})


def rows(p, attribute, main=HALF):
    return {row["level"]: row for row in subgroup_estimates(p, main)[attribute]}


def test_estimates_are_those_of_the_subgroup(make):
    p = with_metadata(make(600, images_per_lesion=2), sex=["male", "female", ""] * 200)
    found = rows(p, "sex")
    assert list(found) == ["female", "male", "unknown"]
    for level, row in found.items():
        of = p.metadata["sex"] == ("" if level == "unknown" else level)
        label, score = p.label[of], p.score[of]
        assert row["images"] == 200
        assert row["auroc"]["value"] == pytest.approx(sk.roc_auc_score(label, score))
        assert row["sensitivity"]["value"] == pytest.approx(sk.recall_score(label, score >= 0.5))
        assert row["specificity"]["value"] == pytest.approx(sk.recall_score(label, score >= 0.5, pos_label=0))
        assert row["auroc"]["low"] < row["auroc"]["value"] < row["auroc"]["high"]


@pytest.mark.parametrize(("lesions", "auroc", "sensitivity"), [(4, False, False), (5, False, True), (10, True, True)])
def test_each_number_needs_its_own_number_of_lesions(make, lesions, auroc, sensitivity):
    p = make(300, images_per_lesion=3)
    melanomas, others = np.unique(p.lesion_id[p.label == 1]), np.unique(p.lesion_id[p.label == 0])
    site = np.where(np.isin(p.lesion_id, [*melanomas[:lesions], *others[:10]]), "ear", "back")
    found = rows(with_metadata(p, localization=site), "localization")
    ear = found["ear"]
    assert ear["positives"] == 3 * lesions
    assert (ear["auroc"]["value"] is not None) == auroc
    assert (ear["sensitivity"]["value"] is not None) == sensitivity
    assert ear["specificity"]["value"] is not None
    assert found["back"]["sensitivity"]["value"] is not None
    if not sensitivity:  # 12 images, but of four lesions
        assert ear["sensitivity"]["reason"] == "4 melanoma lesions; this number needs 5"
        assert ear["difference"]["sensitivity"]["reason"] == "4 melanoma lesions; this number needs 5"


def test_few_lesions_without_melanoma_have_no_specificity(make):
    p = make(300, images_per_lesion=3)
    site = np.where(np.isin(p.lesion_id, np.unique(p.lesion_id[p.label == 0])[:1]), "ear", "back")
    ear = rows(with_metadata(p, localization=site), "localization")["ear"]
    assert ear["specificity"]["reason"] == "1 non-melanoma lesion; this number needs 5"


def test_each_level_is_compared_with_all_the_rest(make):
    p = with_metadata(make(600, images_per_lesion=2), sex=["male", "male", "female", "female", "", ""] * 100)
    for level, row in rows(p, "sex").items():
        of = p.metadata["sex"] == ("" if level == "unknown" else level)
        rest = p.select(~of)
        groups = group_images(rest.group, rest.label)
        shares = shares_at(rest.score >= 0.5, rest.label == 1, groups)
        assert row["difference"]["sensitivity"] == difference_of(row["sensitivity"], shares["sensitivity"])
        assert row["difference"]["specificity"] == difference_of(row["specificity"], shares["specificity"])
        auroc = cluster_auroc(rest.score, rest.label, groups)
        assert row["difference"]["auroc"] == difference_of(row["auroc"], auroc)


def test_the_contrasts_of_alike_subgroups_leave_out_zero_about_once_in_twenty(make):
    apart = total = 0
    for seed in range(60):
        p = make(400, seed=seed)
        p = with_metadata(p, localization=np.random.default_rng(seed).choice(["ear", "back", "leg"], 400))
        for row in rows(p, "localization", given_threshold(0.3)).values():
            for of in row["difference"].values():
                if of["low"] is not None:
                    total += 1
                    apart += not of["low"] <= 0 <= of["high"]
    assert total > 300
    assert 0.02 < apart / total < 0.09


def test_one_level_alone_has_nothing_to_be_compared_with(make):
    row = rows(with_metadata(make(200), sex=["male"] * 200), "sex")["male"]
    assert row["difference"]["auroc"]["reason"] == "there is no other level"


def test_ages_are_put_in_bands_in_order(make):
    ages = ["29.9", "30", "44", "45.0", "75", "", "unknown", "0.0"]
    found = rows(with_metadata(make(8), age=ages), "age")
    assert {level: row["images"] for level, row in found.items()} == {
        "under 30": 2,
        "30-44": 2,
        "45-59": 1,
        "75 and over": 1,
        "unknown": 2,
    }
    assert list(found) == ["under 30", "30-44", "45-59", "75 and over", "unknown"]


@pytest.mark.parametrize("age", ["old", "-5", "121", "inf"])
def test_an_impossible_age_counts_as_unknown_and_is_told(make, age):
    p = with_metadata(make(3), age=["50", age, age])
    assert {level: row["images"] for level, row in rows(p, "age").items()} == {"45-59": 1, "unknown": 2}
    assert strange_ages(p) == [f"2 ages, such as '{age}', are no number of years from 0 to 120 and count as unknown"]
    assert strange_ages(with_metadata(make(3), age=["50", "nan", ""])) == []
    assert strange_ages(make(3)) == []
    assert "45-59" in rows(with_metadata(make(1), age=["49,5"]), "age")


def test_spellings_of_one_level_are_one_level_under_the_commonest(make):
    p = with_metadata(
        make(8),
        sex=["male", "Male", "M", "F", "f", "woman", "nan", "Unknown"],
        localization=["Back", "back", "back", "lower_extremity", "Lower extremity", "Lower extremity", "N/A", "-"],
    )
    assert {level: row["images"] for level, row in rows(p, "sex").items()} == {"female": 3, "male": 3, "unknown": 2}
    assert {level: row["images"] for level, row in rows(p, "localization").items()} == {
        "back": 3,
        "Lower extremity": 3,
        "unknown": 2,
    }


def test_intersections_are_levels_of_both(make):
    p = with_metadata(make(400), sex=["male", "F", "f", ""] * 100, age=["50", "20"] * 200)
    found = rows(p, "sex & age")
    assert {level: row["images"] for level, row in found.items()} == {
        "male, 45-59": 100,
        "female, under 30": 100,
        "female, 45-59": 100,
        "unknown": 100,
    }
    male = p.select(p.metadata["sex"] == "male")
    assert found["male, 45-59"]["auroc"]["value"] == pytest.approx(sk.roc_auc_score(male.label, male.score))
    assert "sex & age" not in subgroup_estimates(p, HALF, ())


def test_every_two_levels_are_contrasted_where_both_have_intervals(make):
    p = with_metadata(
        make(600), sex=["male", "female", ""] * 200, localization=(["back", "face"] * 299) + ["ear", "ear"]
    )
    subgroups = subgroup_estimates(p, HALF)
    found = subgroup_contrasts(subgroups)
    ((female, male),) = [row["levels"] for row in found["sex"]]
    assert (female, male) == ("female", "male")
    of = rows(p, "sex")
    for key in ("auroc", "sensitivity", "specificity"):
        assert found["sex"][0][key] == difference_of(of["female"][key], of["male"][key])
    assert [row["levels"] for row in found["localization"]] == [["back", "face"]]


def test_without_a_threshold_there_is_auroc_alone(make):
    found = rows(with_metadata(make(400), sex=["male", "female"] * 200), "sex", main=None)
    assert found["male"]["auroc"]["value"] is not None
    assert found["male"]["sensitivity"]["reason"] == "there is no threshold"


def test_files_without_metadata_have_no_subgroups(single):
    assert subgroup_estimates(single, HALF) == {}


def test_a_level_of_one_class_has_the_number_of_that_class(make):
    p = make(300)
    found = rows(with_metadata(p, dx=np.where(p.label == 1, "mel", "nv")), "dx")
    assert found["mel"]["sensitivity"]["value"] is not None
    assert found["mel"]["specificity"]["reason"] == "0 non-melanoma lesions; this number needs 5"
    assert found["nv"]["specificity"]["value"] is not None
    assert found["nv"]["sensitivity"]["reason"] == "0 melanoma lesions; this number needs 5"
    assert found["nv"]["auroc"]["reason"] == "0 melanoma lesions; this number needs 10"


@pytest.mark.parametrize(
    ("age", "band"),
    [
        ("0", "under 30"),
        ("29.9", "under 30"),
        ("30", "30-44"),
        ("44.9", "30-44"),
        ("45", "45-59"),
        ("59.9", "45-59"),
        ("60", "60-74"),
        ("74.9", "60-74"),
        ("75", "75 and over"),
    ],
)
def test_a_band_begins_at_its_first_year(make, age, band):
    assert list(rows(with_metadata(make(1), age=[age]), "age")) == [band]
