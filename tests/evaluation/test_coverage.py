"""The short form of benchmarks/coverage.py: do 95 % intervals hold the truth 95 times in 100?"""

import pytest
from scipy.stats import binom

from benchmarks.coverage import AUROC, Design, coverage, judged, simulate, truths
from mole_jax.evaluation.statistics.delong import delong_auroc

SETS = 120
DESIGN = Design(melanomas=40, several=True, random=True)
LEAST = binom.ppf(1e-4, SETS, 0.95)  # held by chance in 99.99 of 100 runs if 95 % are covered
# Estimates that the design, one to six images a lesion and a random number of melanomas, makes hardest.
NAMES = [
    "auroc",
    "partial_auroc",
    "average_precision",
    "brier",
    "log_loss",
    "sensitivity, true .95",
    "sensitivity, true .50",
    "specificity at .95",
    "precision at .95",
    "npv at .95",
    "accuracy at .95",
    "balanced_accuracy at .95",
    "f1 at .95",
    "PPV at 1.8 %",
    "NPV at 1.8 %",
    "net benefit at 10 %",
    "ece, calibrated",
    "ece, too high",
    "in_the_large, calibrated",
    "in_the_large, too high",
    "observed_expected, calibrated",
    "slope, too high",
    "intercept, too high",
    "curve, too high",
    "difference of auroc, alike",
    "difference of auroc, worse",
    "difference of specificity, worse",
    "difference of brier, worse",
    "no difference of AUROC claimed, alike",
]


@pytest.fixture(scope="module")
def found():
    return coverage(DESIGN, sets=SETS, resamples=150)


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_intervals_cover(found, name):
    assert found[name].given > 0.9 * SETS
    assert found[name].inside >= LEAST - (SETS - found[name].given)


def test_an_interval_that_takes_images_as_independent_does_not():
    held = 0
    for seed in range(SETS):
        study = simulate(DESIGN, seed)
        of = delong_auroc(study.latent["first"], study.label)
        held += of["low"] <= AUROC <= of["high"]
    assert held < LEAST


def test_the_simulation_has_the_truth_that_it_claims():
    """One large study of each kind of estimate, against the formulas and integrals."""
    found = judged(simulate(Design(20_000, True, False), 0), resamples=2)
    for name in NAMES[:-1]:
        assert found[name]["value"] == pytest.approx(truths()[name], abs=0.012 + 0.01 * abs(truths()[name])), name
