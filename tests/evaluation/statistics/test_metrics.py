"""Against scikit-learn, on data with and without ties, weighted and not."""

import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.groups import group_images

THRESHOLDS = np.array([0.0, 0.1, 0.25, 0.5, 0.9])
DATA = [
    {},
    {"digits": 1},
    {"n": 37, "digits": 1, "seed": 4},
    {"n": 900, "images_per_lesion": 3, "digits": 2},
    {"shift": -1.0},
    {"prevalence": 0.02, "n": 1000},
]


def counter_of(p):
    return Counter(p.score, p.label, group_images(p.group, p.label))


def test_threshold_free_metrics_agree_with_scikit_learn(make):
    for data in DATA:
        p = make(**data)
        found = {name: float(value) for name, value in counter_of(p).value(metrics.threshold_free).items()}
        expected = {
            "auroc": sk.roc_auc_score(p.label, p.score),
            "average_precision": sk.average_precision_score(p.label, p.score),
            "brier": sk.brier_score_loss(p.label, p.score),
            "log_loss": sk.log_loss(p.label, p.score),
        }
        assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12)


def test_the_roc_curve_is_scikit_learns(make):
    for data in DATA:
        p = make(**data)
        for ours, theirs in zip(
            metrics.roc_curve(counter_of(p).as_they_are()), sk.roc_curve(p.label, p.score), strict=True
        ):
            np.testing.assert_allclose(ours, theirs, rtol=1e-12)


def mcclish_to_area(standardised, width):
    """Undoes scikit-learn's rescaling: .5 is chance, 1 perfect."""
    least, most = width**2 / 2, width
    return least + (2 * standardised - 1) * (most - least)


def test_partial_auroc_agrees_with_scikit_learn_mirrored(make):
    for data in DATA:
        p = make(**data)
        found = float(counter_of(p).value(metrics.threshold_free)["partial_auroc"])
        mirrored = sk.roc_auc_score(1 - p.label, 1 - p.score, max_fpr=0.2)
        assert found == pytest.approx(mcclish_to_area(mirrored, 0.2), rel=1e-9)


def test_partial_auroc_scale():
    label = np.repeat([0, 1], 500)
    groups = group_images(np.arange(1000).astype(str), label)
    for score, expected in [(label.astype(float), 0.2), (np.full(1000, 0.5), 0.02), (1.0 - label, 0.0)]:
        found = Counter(score, label, groups).value(metrics.threshold_free)["partial_auroc"]
        assert float(found) == pytest.approx(expected, abs=1e-12)


def test_metrics_at_thresholds_agree_with_scikit_learn(make):
    for data in DATA:
        p = make(**data)
        cells = counter_of(p).value(lambda counts: metrics.confusion(counts, THRESHOLDS))
        found = metrics.at_threshold(**cells)
        for i, threshold in enumerate(THRESHOLDS):
            called = (p.score >= threshold).astype(int)
            tn, fp, fn, tp = sk.confusion_matrix(p.label, called, labels=[0, 1]).ravel()
            assert [cells[name][i] for name in ("tn", "fp", "fn", "tp")] == [tn, fp, fn, tp]
            expected = {
                "accuracy": sk.accuracy_score(p.label, called),
                "precision": sk.precision_score(p.label, called, zero_division=np.nan),
                "sensitivity": sk.recall_score(p.label, called),
                "specificity": sk.recall_score(p.label, called, pos_label=0),
                "f1": sk.f1_score(p.label, called),
                "npv": sk.precision_score(p.label, called, pos_label=0, zero_division=np.nan),
                "balanced_accuracy": sk.balanced_accuracy_score(p.label, called),
            }
            assert {name: found[name][i] for name in metrics.AT_THRESHOLD} == pytest.approx(expected, nan_ok=True)


def test_score_on_the_threshold_is_called_positive():
    label, score = np.array([0, 1]), np.array([0.5, 0.5])
    counter = Counter(score, label, group_images(np.array(["a", "b"]), label))
    cells = counter.value(lambda counts: metrics.confusion(counts, np.array([0.5, np.nextafter(0.5, 1)])))
    assert cells["tp"].tolist() == [1, 0]
    assert cells["fp"].tolist() == [1, 0]


def test_undefined_is_nan_and_never_zero():
    label, score = np.zeros(4, dtype=int), np.array([0.1, 0.2, 0.3, 0.4])
    counter = Counter(score, label, group_images(np.arange(4).astype(str), label))
    free = counter.value(metrics.threshold_free)
    assert all(np.isnan(free[name]) for name in ("auroc", "partial_auroc", "average_precision"))
    assert float(free["brier"]) == pytest.approx(np.mean(score**2))
    at = metrics.at_threshold(**counter.value(lambda counts: metrics.confusion(counts, np.array([0.5]))))
    assert np.isnan([at[name][0] for name in ("precision", "sensitivity", "f1", "balanced_accuracy")]).all()
    assert [at[name][0] for name in ("accuracy", "specificity", "npv")] == [1, 1, 1]
