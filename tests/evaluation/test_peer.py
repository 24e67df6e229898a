"""Subgroups, their intersections and contrasts, and expected cost against model-auditor.

The figures are those of model-auditor 0.1.16 (`Auditor.add_intersection`, `evaluate_metrics(n_bootstraps=None)` with
AUROC, Sensitivity, Specificity and ExpectedCost(false_positive_cost=1, false_negative_cost=20), `compare_groups`), run
in an environment of its own on the scores that are drawn here. Its contrast is bootstrapped by image, ours is MOVER.
"""

import numpy as np
import pytest

from mole_jax.evaluation.costs import expected_cost
from mole_jax.evaluation.operating_points import given_threshold
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.subgroups import subgroup_contrasts, subgroup_estimates

POINT = given_threshold(0.4)
# Level -> AUROC, sensitivity, specificity, expected cost.
PEER = {
    ("sex", "female"): (0.869, 0.844, 0.638, 1.063),
    ("sex", "male"): (0.884, 0.714, 0.895, 1.482),
    ("sex & age", "female, 30-44"): (0.893, 0.889, 0.659, 0.887),
    ("sex & age", "female, 45-59"): (0.833, 0.786, 0.620, 1.234),
    ("sex & age", "male, 30-44"): (0.889, 0.733, 0.878, 1.344),
    ("sex & age", "male, 45-59"): (0.881, 0.692, 0.919, 1.660),
}


@pytest.fixture
def scored():
    rng = np.random.default_rng(7)
    n = 240
    label = (np.arange(n) % 4 == 0).astype(int)
    score = np.round(1 / (1 + np.exp(-rng.normal(1.5 * label - 1, 1))), 3)
    sex = np.where(rng.random(n) < 0.5, "male", "female")
    age = np.where(rng.random(n) < 0.5, "33", "50")
    return Predictions(np.arange(n).astype(str), label, score, metadata={"sex": sex, "age": age})


def test_subgroups_intersections_and_costs(scored):
    found = subgroup_estimates(scored, POINT)
    rows = {(attribute, row["level"]): row for attribute, levels in found.items() for row in levels}
    ages = {"30-44": "33", "45-59": "50"}
    for key, (auroc, sensitivity, specificity, cost) in PEER.items():
        row, (sex, _, age) = rows[key], key[1].partition(", ")
        level = scored.select((scored.metadata["sex"] == sex) & (not age or scored.metadata["age"] == ages.get(age)))
        of = expected_cost(level, [POINT], miss=20, false_alarm=1, resamples=20, seed=0)["operating_points"]["given"]
        assert row["auroc"]["value"] == pytest.approx(auroc, abs=5.1e-4)
        assert row["sensitivity"]["value"] == pytest.approx(sensitivity, abs=5.1e-4)
        assert row["specificity"]["value"] == pytest.approx(specificity, abs=5.1e-4)
        assert of["value"] == pytest.approx(cost, abs=5.1e-4)


def test_the_contrast_of_two_levels(scored):
    (contrast,) = subgroup_contrasts(subgroup_estimates(scored, POINT))["sex"]
    assert contrast["levels"] == ["female", "male"]
    auroc = contrast["auroc"]
    assert auroc["value"] == pytest.approx(-0.016, abs=1e-3)  # theirs: the difference of numbers as they are
    assert (auroc["low"], auroc["high"]) == pytest.approx((-0.111, 0.083), abs=0.02)
