import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.intervals import bootstrapped, proportion, wilson


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 10), (1, 10), (10, 10), (159, 1490), (1, 1), (499_999, 1_000_000)]
)
def test_wilson_agrees_with_statsmodels(successes, trials):
    expected = proportion_confint(successes, trials, alpha=0.05, method="wilson")
    assert wilson(successes, trials) == pytest.approx(expected, abs=1e-12)


def test_wilson_stays_within_the_unit_interval():
    assert wilson(0, 3)[0] == 0
    assert wilson(3, 3)[1] == 1


def test_percentile_interval_leaves_out_undefined_resamples():
    samples = np.append(np.arange(101.0), [np.nan, np.nan])
    found = bootstrapped(50.0, samples)
    assert (found["value"], found["low"], found["high"]) == pytest.approx((50, 2.5, 97.5))
    assert found["undefined_resamples"] == 2
    assert bootstrapped(1.0, np.array([np.nan]))["reason"] == "undefined in every bootstrap resample"


def test_no_variation_is_not_certainty():
    found = bootstrapped(1.0, np.ones(50))
    assert (found["value"], found["low"], found["high"]) == (1, None, None)
    assert found["reason"].startswith("the same in every bootstrap resample")


def test_proportion_of_single_images_is_wilson():
    groups = group_images(np.arange(8).astype(str), np.repeat([0, 1], 4))
    found = proportion(3, np.repeat([True, False], 4), groups, np.full(10, 0.75))
    assert (found["low"], found["high"]) == pytest.approx(wilson(3, 4))
    assert found["method"] == "wilson"


def test_certain_proportion_of_clustered_images_is_as_uncertain_as_its_lesions():
    lesion, label = np.repeat(np.arange(10), 5).astype(str), np.repeat([0, 1], 25)
    groups = group_images(lesion, label)
    found = proportion(25, label == 1, groups, np.ones(10))
    assert found == {"value": 1.0, "low": pytest.approx(wilson(5, 5)[0]), "high": 1.0, "method": "wilson_by_lesion"}
    between = proportion(20, label == 1, groups, np.linspace(0.6, 1, 41))
    assert between["method"] == "cluster_bootstrap"
    assert (between["low"], between["high"]) == pytest.approx((0.61, 0.99))
