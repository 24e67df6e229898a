import json
import subprocess
import sys

import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.clinical import calibrate, write_calibrated_scores
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.split_estimates import split_estimates
from mole_jax.evaluation.statistics.metrics import AT_THRESHOLD, THRESHOLD_FREE
from mole_jax.evaluation.summary import evaluate, evaluate_run, renewed, write_metrics

ESTIMATE_KEYS = {"value", "low", "high", "method", "reason", "undefined_resamples"}


NO_CALIBRATION = (
    "there are no validation predictions to calibrate on, and 4 lesions with melanoma; cross-fitting needs 10"
)


def few_melanomas(p):
    lesions = np.unique(p.lesion_id[p.label == 1])[:4]
    return p.select((p.label == 0) | np.isin(p.lesion_id, lesions))


@pytest.fixture
def splits(make):
    sex = {"sex": np.array(["male", "female"] * 150)}
    return {
        "train": make(300, 1, images_per_lesion=2, prefix="TRAIN"),
        "validation": make(300, 2, images_per_lesion=2, prefix="VALIDATION"),
        "test": make(300, 3, images_per_lesion=2, prefix="TEST", metadata=sex),
    }


def estimates_in(node, path=""):
    if isinstance(node, dict):
        if "value" in node:
            yield path, node
        for key, child in node.items():
            yield from estimates_in(child, f"{path}/{key}")
    elif isinstance(node, list):
        for i, child in enumerate(node):
            yield from estimates_in(child, f"{path}/{i}")


def test_schema_of_a_run(splits):
    found = evaluate_run(splits, leaky=False, protocol="grouped", resamples=50)
    assert list(found) == [
        "schema",
        "protocol",
        "leaky",
        "leak",
        "level",
        "bootstrap",
        "main_operating_point",
        "operating_points",
        "splits",
        "shared_groups",
        "warnings",
    ]
    assert (found["schema"], found["protocol"], found["leaky"], found["level"]) == (2, "grouped", False, 0.95)
    points = ["accuracy", "youden", "sensitivity_0.9", "sensitivity_0.95", "sensitivity_0.98"]
    assert list(found["operating_points"]) == points
    assert found["main_operating_point"] == "sensitivity_0.95"
    assert list(found["splits"]) == ["train", "validation", "test"]
    for name, split in found["splits"].items():
        assert {"images", "groups", "resamples", "auroc_delong", *THRESHOLD_FREE} <= set(split)
        assert split["optimistic"] == (name != "test")
        assert list(split["operating_points"]) == points
        for point in split["operating_points"].values():
            assert {"threshold", "confusion", *AT_THRESHOLD} == set(point)
    test = found["splits"]["test"]
    assert {"calibration", "prevalence", "decision_curve", "subgroups"} <= set(test)
    assert set(test["calibration"]) == {
        *("before", "fitted_on", "temperature", "after_temperature", "platt", "after_platt")
    }
    assert test["calibration"]["fitted_on"] == "validation"
    assert len(test["calibration"]["before"]["bins"]) == 10
    assert [row["level"] for row in test["subgroups"]["sex"]] == ["female", "male"]
    assert test["decision_curve"]["scores"] == "platt_scaled"
    assert test["prevalence"]["reason"] is None
    assert found["warnings"] == []


def test_every_estimate_is_whole_or_says_why(splits):
    found = evaluate_run(splits, leaky=False, protocol="grouped", resamples=50)
    estimates = dict(estimates_in(found))
    assert len(estimates) > 150
    for path, estimate in estimates.items():
        assert set(estimate) <= ESTIMATE_KEYS, path
        complete = None not in (estimate["value"], estimate["low"], estimate["high"], estimate["method"])
        assert complete != ("reason" in estimate), path


def test_thresholds_come_from_validation_and_are_frozen(splits):
    found = evaluate(splits["test"], validation=splits["validation"], resamples=20)
    turned = dict(splits, test=splits["train"])
    other = evaluate(turned["test"], validation=splits["validation"], resamples=20)
    for name, point in found["operating_points"].items():
        assert point["chosen_on"] == "validation"
        assert point["threshold"] == other["operating_points"][name]["threshold"]
        assert point["threshold"] == found["splits"]["test"]["operating_points"][name]["threshold"]
    assert found["splits"]["validation"]["operating_points"]["sensitivity_0.95"]["sensitivity"]["value"] >= 0.95


def test_run_and_file_give_the_same_test_estimates(splits):
    run = evaluate_run(splits, leaky=False, protocol="grouped", resamples=30, seed=4)
    file = evaluate(splits["test"], validation=splits["validation"], resamples=30, seed=4)
    assert run["splits"]["test"] == file["splits"]["test"]
    assert file["leaky"] is None


def test_seed_decides_the_intervals(splits):
    def interval(seed):
        estimate = evaluate(splits["test"], resamples=30, seed=seed)["splits"]["test"]["brier"]
        return estimate["low"], estimate["high"]

    assert interval(0) == interval(0) != interval(1)


def test_a_threshold_of_ones_own_is_the_main_one(splits):
    found = evaluate(splits["test"], validation=splits["validation"], threshold=0.5, resamples=20)
    assert found["main_operating_point"] == "given"
    assert list(found["operating_points"])[:2] == ["given", "accuracy"]
    few = evaluate(few_melanomas(splits["test"]), threshold=0.5, resamples=20)
    assert list(few["operating_points"]) == ["given"]
    prevalence = few["splits"]["test"]["prevalence"]
    assert few["splits"]["test"]["decision_curve"]["scores"] == "as_given"
    assert prevalence["calibrated_at"] is None
    assert prevalence["reason"] == NO_CALIBRATION
    assert [row["risk_at_threshold"] for row in prevalence["rows"]] == [None] * 4
    assert all(row["ppv"]["low"] is not None for row in prevalence["rows"])


def test_without_validation_threshold_and_melanomas_there_are_threshold_free_estimates(splits):
    found = evaluate(few_melanomas(splits["test"]), resamples=20)
    assert found["main_operating_point"] is None
    assert found["operating_points"] == found["splits"]["test"]["operating_points"] == {}
    assert "prevalence" not in found["splits"]["test"]
    assert found["splits"]["test"]["auroc"]["value"] > 0.5
    assert found["warnings"] == [
        "no validation predictions to choose thresholds and calibration on, and 4 lesions with melanoma; cross-fitting "
        "needs 10"
    ]


@pytest.mark.parametrize("asked", [{"target_sensitivity": [0.95]}, {"threshold_confidence": 0.9}])
def test_thresholds_for_a_sensitivity_need_melanomas_to_choose_them_on(splits, asked):
    with pytest.raises(UserError) as caught:
        evaluate(few_melanomas(splits["test"]), **asked)
    assert "has 4 lesions with melanoma; cross-fitting needs 10, so no threshold can be chosen" in str(caught.value)
    assert "give --validation=FILE, or --threshold=NUMBER instead" in str(caught.value)


def test_confident_thresholds_are_there_where_they_are_asked_for(splits):
    found = evaluate(splits["test"], validation=splits["validation"], threshold_confidence=0.9, resamples=20)
    assert list(found["operating_points"])[-3:] == ["confident_0.9", "confident_0.95", "confident_0.98"]
    run = evaluate_run(splits, leaky=False, protocol="given", threshold_confidence=0.9, resamples=20)
    assert run["operating_points"] == found["operating_points"]
    points = found["operating_points"]
    assert points["confident_0.9"]["threshold"] < points["sensitivity_0.9"]["threshold"]


def test_targets_that_give_one_threshold_are_said(make):
    p = make(60, seed=1)
    few = p.select((np.cumsum(p.label) <= 5) | (p.label == 0))
    found = evaluate(make(100), validation=few, resamples=20)
    assert (
        "sensitivity 0.9, sensitivity 0.95 and sensitivity 0.98 are one and the same threshold: validation has too few "
        "melanomas to part them"
    ) in found["warnings"]


def test_a_file_of_one_image_a_lesion_has_no_estimates_by_lesion(splits, single):
    assert "by_lesion" not in evaluate(single, resamples=20)["splits"]["test"]
    assert "by_lesion" in evaluate(splits["test"], resamples=20)["splits"]["test"]


def test_metrics_of_an_older_schema_are_made_again(splits):
    found = evaluate_run(splits, leaky=True, leak="why", protocol="paper", target_sensitivity=(0.8,), resamples=20)
    assert renewed(found, splits) is found
    old = {**found, "schema": 1, "splits": {}}
    del old["leak"]
    again = renewed(old, splits)
    assert again["splits"] == found["splits"]
    assert again["operating_points"] == found["operating_points"]
    assert (again["leaky"], again["protocol"], again["leak"]) == (True, "paper", "")


def test_other_splits_are_refused(splits):
    with pytest.raises(UserError, match="the splits are train, test; give validation and test"):
        evaluate_run({"train": splits["train"], "test": splits["test"]}, leaky=False, protocol="given")
    with pytest.raises(UserError, match="resamples=1 gives no interval"):
        evaluate(splits["test"], resamples=1)


def test_leakage_is_reported(splits):
    found = evaluate_run(dict(splits, validation=splits["test"]), leaky=True, protocol="paper", resamples=20)
    assert found["leaky"] is True
    assert found["shared_groups"][0]["splits"] == ["validation", "test"]
    assert found["shared_groups"][0]["affected_images"] == 300
    assert found["warnings"][0] == "LEAKY: protocol 'paper'; its numbers say nothing of new patients"
    assert found["warnings"][1].startswith(
        "LEAKAGE: 150 lesions lie in both validation and test (300 images of test), for"
    )


def test_the_stamp_says_why(splits):
    found = evaluate_run(splits, leaky=True, protocol="paper_by_lesion", leak="only melanomas are copies", resamples=20)
    assert (found["leaky"], found["leak"]) == (True, "only melanomas are copies")
    assert found["warnings"] == [
        "LEAKY: protocol 'paper_by_lesion' (only melanomas are copies); its numbers say nothing of new patients"
    ]


def test_too_good_to_be_true_is_said(make):
    found = evaluate(make(shift=12.0), resamples=20)
    assert any("look for leakage" in warning for warning in found["warnings"])


def test_missing_lesions_are_said(single):
    lonely = Predictions(single.image_id, single.label, single.score)
    assert "test has no lesion_id and no patient_id" in evaluate(lonely, resamples=20)["warnings"][1]


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_no_crash(splits, make, label):
    p = make(40)
    one = Predictions(p.image_id, np.full(40, label), p.score)
    for found in (
        evaluate(one, validation=splits["validation"], resamples=20),
        evaluate(splits["test"], validation=one, resamples=20),
        evaluate(one, validation=one, threshold=0.5, resamples=20),
    ):
        json.dumps(found, allow_nan=False)
    assert found["splits"]["test"]["auroc"]["reason"] == "only one class is present"
    assert found["splits"]["test"]["calibration"]["temperature"]["reason"] == "only one class is present"


def test_a_single_image_is_no_crash(make):
    json.dumps(evaluate(make(1), threshold=0.5, resamples=20), allow_nan=False)


def test_perfect_and_constant_scores_are_no_crash():
    ids, label = np.arange(40).astype(str), np.arange(40) % 2
    for score in (label.astype(float), 1.0 - label, np.full(40, 0.5), np.zeros(40)):
        p = Predictions(ids, label, score)
        json.dumps(evaluate(p, validation=p, resamples=20), allow_nan=False)


def test_metrics_are_written_whole(tmp_path, splits):
    found = evaluate(splits["test"], resamples=20)
    write_metrics(tmp_path / "metrics.json", found)
    assert json.loads((tmp_path / "metrics.json").read_text()) == found
    with pytest.raises(ValueError, match="Out of range float"):
        write_metrics(tmp_path / "metrics.json", {"value": float("nan")})
    assert json.loads((tmp_path / "metrics.json").read_text()) == found
    assert [path.name for path in tmp_path.iterdir()] == ["metrics.json"]


def test_calibrated_scores_keep_the_ranking_and_fall_with_prevalence(tmp_path, splits):
    write_calibrated_scores(tmp_path / "scores.csv", splits["test"], splits["validation"])
    table = np.genfromtxt(
        tmp_path / "scores.csv", delimiter=",", names=True, dtype=None, encoding="utf-8", deletechars=""
    )
    assert table.dtype.names[3:] == ("calibrated", "risk_at_0.018", "risk_at_0.11", "risk_at_0.2", "risk_at_0.5")
    np.testing.assert_array_equal(np.argsort(table["calibrated"]), np.argsort(table["score"]))
    assert (table["risk_at_0.018"] < table["risk_at_0.11"]).all()
    share = splits["validation"].label.mean()
    odds = table["calibrated"] / (1 - table["calibrated"]) * (1 - share) / share
    np.testing.assert_allclose(table["risk_at_0.5"], odds / (1 + odds))


def test_without_validation_nothing_is_called_calibrated(tmp_path, splits):
    path = tmp_path / "scores.csv"
    assert write_calibrated_scores(path, splits["test"], splits["validation"]) is None
    few = few_melanomas(splits["test"])
    assert write_calibrated_scores(path, few, None) == NO_CALIBRATION
    assert not path.exists()  # the older file is gone too
    apart = Predictions(np.array(["a", "b"]), np.array([0, 1]), np.array([0.2, 0.8]))
    said = write_calibrated_scores(path, splits["test"], apart)
    assert said.startswith("Platt scaling cannot be fitted on validation: the scores separate the classes perfectly")
    assert calibrate(few, None) is None
    prevalence = evaluate(splits["test"], validation=apart, resamples=20)["splits"]["test"]["prevalence"]
    assert prevalence["reason"] == said


def test_split_estimates_are_those_of_the_summary(splits):
    found = evaluate(splits["test"], resamples=20, seed=3)["splits"]["test"]
    points = [OperatingPoint(**point) for point in evaluate(splits["test"], resamples=20)["operating_points"].values()]
    alone = split_estimates(splits["test"], points, resamples=20, seed=3)
    assert {key: found[key] for key in alone} == alone


def test_evaluation_needs_no_jax():
    code = (
        "import sys, mole_jax.evaluation.summary, mole_jax.evaluation.table, mole_jax.evaluation.comparison_table\n"
        "sys.exit('jax' in sys.modules or 'flax' in sys.modules or 'sklearn' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_scaled_scores_have_the_slope_that_their_scaling_gives_them(splits):
    """A logit divided by T has T times the slope; Platt's slope and intercept are taken off likewise."""
    test = evaluate(splits["test"], validation=splits["validation"], resamples=20)["splits"]["test"]["calibration"]
    before, platt = test["before"], test["platt"]
    assert test["temperature"]["value"] != pytest.approx(1, abs=0.05)
    slope = before["slope"]["value"]
    assert test["after_temperature"]["slope"]["value"] == pytest.approx(slope * test["temperature"]["value"], rel=1e-6)
    assert test["after_temperature"]["intercept"]["value"] == pytest.approx(before["intercept"]["value"], rel=1e-6)
    assert test["after_platt"]["slope"]["value"] == pytest.approx(slope / platt["slope"]["value"], rel=1e-6)
    shift = slope * platt["intercept"]["value"] / platt["slope"]["value"]
    assert test["after_platt"]["intercept"]["value"] == pytest.approx(before["intercept"]["value"] - shift, rel=1e-5)
