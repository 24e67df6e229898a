import dataclasses

import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import given_threshold
from mole_jax.evaluation.subgroups import subgroup_estimates

HALF = given_threshold(0.5)


def with_metadata(p, **columns):
    return dataclasses.replace(p, metadata={name: np.array(column) for name, column in columns.items()})


def rows(p, attribute, main=HALF):
    return {row["level"]: row for row in subgroup_estimates(p, main, resamples=50, seed=0)[attribute]}


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


def test_fewer_than_ten_lesions_of_a_class_have_no_estimate(make):
    p = make(300, images_per_lesion=3)
    melanomas = np.unique(p.lesion_id[p.label == 1])
    site = np.where(np.isin(p.lesion_id, melanomas[:9]), "ear", "back")
    found = rows(with_metadata(p, localization=site), "localization")
    assert found["ear"]["positives"] == 27
    assert found["ear"]["sensitivity"]["value"] is None  # 27 images, but of nine lesions
    assert found["ear"]["sensitivity"]["reason"] == "9 melanoma lesions; estimates need 10"
    assert found["ear"]["specificity"]["reason"] == "0 non-melanoma lesions; estimates need 10"
    assert found["ear"]["auroc"]["value"] is None
    assert found["back"]["sensitivity"]["value"] is not None


def test_ten_lesions_are_enough(make):
    p = make(300, images_per_lesion=3)
    melanomas = np.unique(p.lesion_id[p.label == 1])
    site = np.where(np.isin(p.lesion_id, melanomas[:10]), "ear", "back")
    assert rows(with_metadata(p, localization=site), "localization")["ear"]["sensitivity"]["value"] is not None


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


@pytest.mark.parametrize("age", ["old", "-5", "nan"])
def test_impossible_age_is_told(make, age):
    with pytest.raises(UserError, match=f"age '{age}' is not a number of years; leave unknown ages empty"):
        rows(with_metadata(make(2), age=["50", age]), "age")


def test_without_a_threshold_there_is_auroc_alone(make):
    found = rows(with_metadata(make(400), sex=["male", "female"] * 200), "sex", main=None)
    assert found["male"]["auroc"]["value"] is not None
    assert found["male"]["sensitivity"]["reason"] == "there is no threshold"


def test_files_without_metadata_have_no_subgroups(single):
    assert subgroup_estimates(single, HALF, resamples=10, seed=0) == {}
