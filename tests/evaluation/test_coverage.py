"""Does a 95 % interval hold the truth 95 times in 100? Simulated lesions of four similar images each, AUROC known."""

import numpy as np
import pytest
from scipy.stats import norm

from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.delong import delong_auroc
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.intervals import bootstrapped
from mole_jax.evaluation.statistics.metrics import auroc

DATASETS, LESIONS, IMAGES = 300, 160, 4
LESION_SD, IMAGE_SD, SHIFT = 1.0, 0.5, 1.5
TRUTH = norm.cdf(SHIFT / np.sqrt(2 * (LESION_SD**2 + IMAGE_SD**2)))


def simulate(seed):
    rng = np.random.default_rng([seed, 2026])
    label = np.repeat([0, 1], LESIONS // 2)
    lesion = np.repeat(np.arange(LESIONS), IMAGES)
    effect = SHIFT * label + rng.normal(scale=LESION_SD, size=LESIONS)
    return effect[lesion] + rng.normal(scale=IMAGE_SD, size=len(lesion)), label[lesion], lesion


def holds_truth(score, label, group):
    counter = Counter(score, label, group_images(group, label))
    value = counter.value(lambda counts: {"auroc": auroc(counts)})["auroc"]
    samples = counter.bootstrap(lambda counts: {"auroc": auroc(counts)}, resamples=400, seed=0)["auroc"]
    estimate = bootstrapped(float(value), samples)
    return estimate["low"] <= TRUTH <= estimate["high"]


@pytest.fixture(scope="module")
def coverage():
    held = {"lesion": 0, "image": 0, "delong": 0}
    for seed in range(DATASETS):
        score, label, lesion = simulate(seed)
        held["lesion"] += holds_truth(score, label, lesion)
        held["image"] += holds_truth(score, label, np.arange(len(label)))
        estimate = delong_auroc(score, label)
        held["delong"] += estimate["low"] <= TRUTH <= estimate["high"]
    return {name: count / DATASETS for name, count in held.items()}


def test_simulation_has_the_auroc_that_it_claims():
    values = []
    for seed in range(100):
        score, label, _ = simulate(seed)
        values.append(delong_auroc(score, label)["value"])
    assert np.mean(values) == pytest.approx(TRUTH, abs=4 * np.std(values) / 10)


def test_cluster_bootstrap_covers(coverage):
    assert 0.92 <= coverage["lesion"] <= 0.98


def test_taking_images_as_independent_does_not(coverage):
    assert coverage["image"] < 0.85
    assert coverage["delong"] < 0.85
