import dataclasses

import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from mole_jax.evaluation.operating_points import OperatingPoint, given_threshold
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.split_estimates import split_estimates
from mole_jax.evaluation.statistics.delong import delong_auroc
from mole_jax.evaluation.statistics.intervals import mean_of
from mole_jax.evaluation.statistics.metrics import AT_THRESHOLD, THRESHOLD_FREE

HALF = given_threshold(0.5)


def small(label, score, lesion=None):
    label = np.array(label)
    lesion = None if lesion is None else np.array(lesion)
    return Predictions(np.arange(len(label)).astype(str), label, np.array(score), lesion_id=lesion)


def test_every_estimate_has_a_value_within_its_interval(clustered):
    found = split_estimates(clustered, [HALF], resamples=200, seed=0)
    estimates = {name: found[name] for name in (*THRESHOLD_FREE, "auroc_delong")}
    estimates |= {name: found["operating_points"]["given"][name] for name in AT_THRESHOLD}
    for estimate in estimates.values():
        assert estimate["low"] < estimate["value"] < estimate["high"]
    methods = {name: estimate["method"] for name, estimate in estimates.items()}
    assert methods == {
        "auroc": "cluster_score",
        "partial_auroc": "cluster_logit",
        "auroc_delong": "delong",
        "balanced_accuracy": "mover",
        **dict.fromkeys(("average_precision", "brier", "log_loss", "f1"), "cluster_bootstrap"),
        **dict.fromkeys(("accuracy", "precision", "sensitivity", "specificity", "npv"), "wilson_effective"),
    }
    assert found["auroc_delong"] == delong_auroc(clustered.score, clustered.label)
    assert (found["images"], found["groups"], found["grouped_by"]) == (600, 200, "lesion_id")
    assert found["positive_groups"] + found["negative_groups"] == 200


def test_single_images_get_wilson_for_proportions(single):
    found = split_estimates(single, [HALF], resamples=50, seed=0)["operating_points"]["given"]
    cells = found["confusion"]
    trials = {
        "accuracy": (cells["tp"] + cells["tn"], single.n),
        "precision": (cells["tp"], cells["tp"] + cells["fp"]),
        "sensitivity": (cells["tp"], cells["tp"] + cells["fn"]),
        "specificity": (cells["tn"], cells["tn"] + cells["fp"]),
        "npv": (cells["tn"], cells["tn"] + cells["fn"]),
    }
    for name, (successes, n) in trials.items():
        assert found[name]["method"] == "wilson_effective"
        assert (found[name]["low"], found[name]["high"]) == pytest.approx(
            proportion_confint(successes, n, method="wilson")
        )


def test_one_class_is_null_with_a_reason():
    found = split_estimates(small([0, 0, 0], [0.1, 0.2, 0.7]), [HALF], resamples=20, seed=0)
    at = found["operating_points"]["given"]
    for estimate in (found["auroc"], found["auroc_delong"], found["partial_auroc"], at["balanced_accuracy"]):
        assert (estimate["value"], estimate["reason"]) == (None, "only one class is present")
    assert at["sensitivity"]["reason"] == found["average_precision"]["reason"] == "there is no melanoma"
    assert at["specificity"]["value"] == pytest.approx(2 / 3)
    moleless = split_estimates(small([1, 1], [0.6, 0.7]), [HALF], resamples=20, seed=0)["operating_points"]["given"]
    assert moleless["specificity"]["reason"] == "there is no image without melanoma"
    assert moleless["npv"]["reason"] == "no image is called negative"


def test_nothing_called_positive_has_no_precision(single):
    found = split_estimates(single, [given_threshold(1.0)], resamples=20, seed=0)["operating_points"]["given"]
    assert (found["precision"]["value"], found["precision"]["reason"]) == (None, "no image is called positive")
    assert found["sensitivity"]["value"] == found["f1"]["value"] == 0
    assert found["sensitivity"]["high"] > 0


def test_a_lone_lesion_of_a_class_has_a_value_but_no_interval():
    p = small([1, 1, 0, 0, 0, 0], [0.9, 0.4, 0.5, 0.2, 0.1, 0.3], ["a", "a", "b", "b", "c", "c"])
    found = split_estimates(p, [HALF], resamples=20, seed=0)
    assert found["auroc"]["value"] == pytest.approx(7 / 8)
    assert found["auroc"]["low"] is None
    assert found["auroc"]["reason"] == "1 lesion with melanoma; an interval needs 5"
    assert found["brier"]["reason"] == "1 lesion with melanoma; an interval needs 10"
    assert (
        found["operating_points"]["given"]["sensitivity"]["low"] > 0
    )  # of one lesion: Wilson's interval for one trial


def test_unreachable_operating_point_is_passed_on(single):
    none = OperatingPoint("youden", "rule", "validation", None, "validation has no image without melanoma")
    found = split_estimates(single, [none, HALF], resamples=20, seed=0)["operating_points"]
    assert found["youden"] == {"threshold": None, "reason": "validation has no image without melanoma"}
    assert found["given"]["threshold"] == 0.5


def test_one_patient_with_images_of_both_classes_takes_no_interval_away(make):
    p = make(400, images_per_lesion=4)
    lesion = p.lesion_id.copy()
    melanoma, other = np.flatnonzero(p.label == 1)[0], np.flatnonzero(p.label == 0)[0]
    lesion[lesion == lesion[melanoma]] = lesion[other]
    mixed = dataclasses.replace(p, lesion_id=lesion)
    found = split_estimates(mixed, [HALF], resamples=200, seed=0)
    assert found["mixed_groups"] == 1
    for name in THRESHOLD_FREE:
        assert found[name]["low"] < found[name]["value"] < found[name]["high"], name
    for name in AT_THRESHOLD:
        of = found["operating_points"]["given"][name]
        assert of["low"] < of["value"] < of["high"], name


def test_shares_of_files_of_one_and_of_several_images_a_lesion_have_one_method(single, clustered):
    for p in (single, clustered):
        at = split_estimates(p, [HALF], resamples=20, seed=0)["operating_points"]["given"]
        assert at["sensitivity"]["method"] == "wilson_effective"


def test_balanced_accuracy_is_the_mean_of_its_parts(clustered):
    at = split_estimates(clustered, [HALF], resamples=20, seed=0)["operating_points"]["given"]
    assert at["balanced_accuracy"] == mean_of(at["sensitivity"], at["specificity"])
