import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from mole_jax.evaluation.operating_points import OperatingPoint, given_threshold
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.split_estimates import split_estimates
from mole_jax.evaluation.statistics.delong import delong_auroc
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
        assert estimate["method"] in ("cluster_bootstrap", "delong")
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
        assert found[name]["method"] == "wilson"
        assert (found[name]["low"], found[name]["high"]) == pytest.approx(
            proportion_confint(successes, n, method="wilson")
        )
    assert found["f1"]["method"] == found["balanced_accuracy"]["method"] == "cluster_bootstrap"


def test_one_class_is_null_with_a_reason():
    found = split_estimates(small([0, 0, 0], [0.1, 0.2, 0.7]), [HALF], resamples=20, seed=0)
    at = found["operating_points"]["given"]
    for estimate in (found["auroc"], found["auroc_delong"], found["partial_auroc"], at["balanced_accuracy"]):
        assert (estimate["value"], estimate["reason"]) == (None, "only one class is present")
    assert at["sensitivity"]["reason"] == found["average_precision"]["reason"] == "there is no melanoma"
    assert at["specificity"]["value"] == pytest.approx(2 / 3)
    moleless = split_estimates(small([1, 1], [0.6, 0.7]), [HALF], resamples=20, seed=0)["operating_points"]["given"]
    assert moleless["specificity"]["reason"] == "there is no mole"
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
    assert found["auroc"]["reason"] == "fewer than two lesions of a class, so nothing to resample"


def test_unreachable_operating_point_is_passed_on(single):
    none = OperatingPoint("youden", "rule", "validation", None, "validation has no mole")
    found = split_estimates(single, [none, HALF], resamples=20, seed=0)["operating_points"]
    assert found["youden"] == {"threshold": None, "reason": "validation has no mole"}
    assert found["given"]["threshold"] == 0.5
