"""The vectorised bootstrap against a loop that repeats the rows of each drawn lesion and calls scikit-learn."""

import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.evaluation.statistics import counts as module
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter, affordable_resamples
from mole_jax.evaluation.statistics.groups import draw_weights, group_images

THRESHOLD = 0.3


def statistics(counts):
    at = metrics.at_threshold(**metrics.confusion(counts, np.array([THRESHOLD])))
    return {**metrics.threshold_free(counts), **{name: value[0] for name, value in at.items()}}


def naive(label, score):
    called = (score >= THRESHOLD).astype(int)
    mirrored = sk.roc_auc_score(1 - label, 1 - score, max_fpr=0.2)
    return {
        "auroc": sk.roc_auc_score(label, score),
        "partial_auroc": 0.02 + (2 * mirrored - 1) * 0.18,
        "average_precision": sk.average_precision_score(label, score),
        "brier": sk.brier_score_loss(label, score),
        "log_loss": sk.log_loss(label, score),
        "accuracy": sk.accuracy_score(label, called),
        "precision": sk.precision_score(label, called),
        "sensitivity": sk.recall_score(label, called),
        "specificity": sk.recall_score(label, called, pos_label=0),
        "f1": sk.f1_score(label, called),
        "npv": sk.precision_score(label, called, pos_label=0),
        "balanced_accuracy": sk.balanced_accuracy_score(label, called),
    }


def test_every_resample_equals_the_naive_loop(clustered):
    p = clustered
    groups = group_images(p.group, p.label)
    found = Counter(p.score, p.label, groups).bootstrap(statistics, resamples=25, seed=7)
    (weights,) = draw_weights(groups, resamples=25, seed=7, at_a_time=25)
    for r in range(25):
        rows = np.concatenate(
            [np.repeat(np.flatnonzero(groups.index == g), int(w)) for g, w in enumerate(weights[:, r])]
        )
        expected = naive(p.label[rows], p.score[rows])
        assert {name: value[r] for name, value in found.items()} == pytest.approx(expected, rel=1e-9)


def test_pieces_do_not_change_the_numbers(clustered, monkeypatch):
    counter = Counter(clustered.score, clustered.label, group_images(clustered.group, clustered.label))
    whole = counter.bootstrap(statistics, resamples=40, seed=1)
    monkeypatch.setattr(module, "CELLS", 7 * clustered.n)
    for name, pieces in counter.bootstrap(statistics, resamples=40, seed=1).items():
        np.testing.assert_allclose(pieces, whole[name], rtol=1e-12)


def test_large_data_get_fewer_resamples():
    assert affordable_resamples(3561, 2000) == 2000
    assert affordable_resamples(200_000, 2000) == 2000
    assert affordable_resamples(400_000, 2000) == 1000
    assert affordable_resamples(10_000_000, 2000) == 200
    assert affordable_resamples(10_000_000, 50) == 50
