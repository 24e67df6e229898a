"""One file suffices: thresholds and scalings that were chosen on other folds, and what they estimate."""

import dataclasses

import numpy as np
import pytest
from scipy.special import expit, ndtr

from mole_jax.evaluation.calibration import fit_platt, logits_of
from mole_jax.evaluation.cross_fitting import FOLDS, cross_fitted_points, cutoff, folds_of, why_not
from mole_jax.evaluation.operating_points import choose_operating_points
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.scaling import scale
from mole_jax.evaluation.split_estimates import shares_at
from mole_jax.evaluation.summary import evaluate

SHIFT = 1.5


def study(melanomas, others, seed):
    """Independent lesions with normal scores, `SHIFT` apart."""
    label = np.repeat([1, 0], [melanomas, others])
    logit = np.random.default_rng(seed).normal(SHIFT * label, 1)
    return Predictions(
        np.arange(len(label)).astype(str), label, expit(logit), lesion_id=np.arange(len(label)).astype(str)
    )


def test_folds_are_whole_groups_with_both_classes_and_the_same_in_any_order(clustered):
    fold = folds_of(clustered)
    for lesion in np.unique(clustered.lesion_id):
        assert len(set(fold[clustered.lesion_id == lesion])) == 1
    sizes = [(fold == k).sum() for k in range(FOLDS)]
    assert max(sizes) - min(sizes) <= 3
    melanomas = [clustered.label[fold == k].sum() for k in range(FOLDS)]
    assert max(melanomas) - min(melanomas) <= 3
    order = np.random.default_rng(0).permutation(clustered.n)
    np.testing.assert_array_equal(folds_of(clustered.take(order)), fold[order])


def test_each_image_is_called_by_a_threshold_chosen_without_its_lesion(clustered):
    (point,) = [p for p in cross_fitted_points(clustered, [0.9]) if p.name == "sensitivity_0.9"]
    fold, cut = folds_of(clustered), cutoff(point, clustered)
    for k in range(FOLDS):
        rest = clustered.select(fold != k)
        # The highest threshold that finds nine tenths of the melanomas of the other folds, by hand.
        melanomas = np.sort(rest.score[rest.label == 1])[::-1]
        assert set(cut[fold == k]) == {melanomas[int(np.ceil(0.9 * len(melanomas) - 1e-9)) - 1]}
    whole = {p.name: p for p in choose_operating_points(clustered, [0.9])}["sensitivity_0.9"]
    assert (point.threshold, point.expected, point.chosen_on) == (whole.threshold, whole.expected, "cross-fitted")


def test_scores_are_scaled_by_what_was_fitted_without_their_lesion(clustered):
    scaled = scale(clustered, None)
    fold, logits = folds_of(clustered), logits_of(clustered)
    for k in range(FOLDS):
        fitted = fit_platt(clustered.select(fold != k))
        expected = fitted["intercept"]["value"] + fitted["slope"]["value"] * logits[fold == k]
        np.testing.assert_allclose(scaled.by_platt[fold == k], expected)
    assert scaled.platt == fit_platt(clustered)
    assert scaled.prevalence == clustered.label.mean()


def test_numbers_of_the_file_are_those_of_the_cross_fitted_calls(clustered):
    found = evaluate(clustered, resamples=50)
    test = found["splits"]["test"]
    point = found["operating_points"]["sensitivity_0.95"]
    called = clustered.score >= np.array(point["folds"])[folds_of(clustered)]
    at = test["operating_points"]["sensitivity_0.95"]
    assert at["sensitivity"]["value"] == called[clustered.label == 1].mean()
    assert at["specificity"]["value"] == (~called[clustered.label == 0]).mean()
    assert at["confusion"]["fp"] == (called & (clustered.label == 0)).sum()
    cells = at["confusion"]
    assert at["f1"]["value"] == pytest.approx(2 * cells["tp"] / (2 * cells["tp"] + cells["fp"] + cells["fn"]))
    assert at["threshold"] == point["threshold"]
    assert test["optimistic"] is False
    assert test["calibration"]["fitted_on"] == "cross-fitted"
    assert test["decision_curve"]["scores"] == "platt_scaled_cross_fitted"
    assert "cross-fitted in 5 folds of whole lesions" in found["warnings"][0]
    lesions = test["by_lesion"]["maximum"]["operating_points"]["sensitivity_0.95"]
    highest = {lesion: clustered.score[clustered.lesion_id == lesion].max() for lesion in clustered.lesion_id}
    cut = dict(zip(clustered.lesion_id, np.array(point["folds"])[folds_of(clustered)], strict=True))
    melanoma = dict(zip(clustered.lesion_id, clustered.label, strict=True))
    assert lesions["confusion"]["tp"] == sum(highest[of] >= cut[of] for of in highest if melanoma[of])
    assert lesions["confusion"]["fp"] == sum(highest[of] >= cut[of] for of in highest if not melanoma[of])


def test_too_few_lesions_are_not_cross_fitted(clustered):
    few = clustered.select(
        (clustered.label == 0) | np.isin(clustered.lesion_id, np.unique(clustered.lesion_id[clustered.label == 1])[:9])
    )
    assert why_not(few) == "9 lesions with melanoma; cross-fitting needs 10"
    found = evaluate(few, resamples=20)
    assert found["operating_points"] == {}
    assert "fitted_on" not in found["splits"]["test"]["calibration"]


def test_a_point_without_threshold_in_one_fold_has_none(clustered):
    points = {point.name: point for point in cross_fitted_points(clustered, [0.99], confidence=0.99)}
    assert points["confident_0.99"].threshold is None
    assert points["confident_0.99"].reason.startswith("the file has ")
    none = {k: v for k, v in points["confident_0.99"].record().items() if v is None}
    assert set(none) == {"threshold", "expected", "short"}


def test_cross_fitted_sensitivity_is_what_such_a_threshold_has_on_new_lesions():
    """Over many studies: the mean of the marked sensitivity is the mean true one of thresholds so chosen, and its
    interval holds that about 95 times in 100; the same file's own threshold flatters."""
    marked, truth, flattered, held = [], [], [], 0
    studies = 300
    for seed in range(studies):
        p = study(30, 120, seed)
        (point,) = [of for of in cross_fitted_points(p, [0.95]) if of.name == "sensitivity_0.95"]
        called = p.score >= cutoff(point, p)
        true = np.mean([ndtr(SHIFT - np.log(cut / (1 - cut))) for cut in point.folds])
        marked.append(called[p.label == 1].mean())
        truth.append(true)
        flattered.append((p.score >= point.threshold)[p.label == 1].mean())
        of = shares_at(called, p.label == 1, p.groups)["sensitivity"]
        held += of["low"] <= true <= of["high"]
    error = np.std(np.array(marked) - truth) / np.sqrt(studies)
    assert np.mean(marked) == pytest.approx(np.mean(truth), abs=3 * error)
    assert np.mean(flattered) > np.mean(truth) + 0.01
    assert held / studies >= 0.93


def test_patients_stay_in_one_fold(clustered):
    patient = np.array([f"P{i % 40}" for i in range(clustered.n)])
    p = dataclasses.replace(clustered, lesion_id=None, patient_id=patient)
    fold = folds_of(p)
    assert all(len(set(fold[patient == name])) == 1 for name in set(patient))
