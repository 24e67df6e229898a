import numpy as np
import pytest
from scipy.stats import norm
from scipy.stats import t as student
from statsmodels.stats.proportion import confint_proportions_2indep, proportion_confint

from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.intervals import (
    bootstrapped,
    difference_of,
    effective_trials,
    estimate,
    mean_of,
    moved,
    point,
    proportion,
    ratio_interval,
    t_quantile,
    undefined,
    wilson,
)


def alone(positives, negatives):
    """Groups of one image each."""
    label = np.repeat([1, 0], [positives, negatives])
    return group_images(np.arange(len(label)), label)


def share(successes, trials):
    return estimate(successes / trials, *wilson(successes, trials), "wilson_effective")


@pytest.mark.parametrize(
    ("successes", "trials"), [(0, 10), (1, 10), (10, 10), (159, 1490), (1, 1), (499_999, 1_000_000)]
)
def test_wilson_agrees_with_statsmodels(successes, trials):
    expected = proportion_confint(successes, trials, alpha=0.05, method="wilson")
    assert wilson(successes, trials) == pytest.approx(expected, abs=1e-12)


def test_wilson_stays_within_the_unit_interval():
    assert wilson(0, 3)[0] == 0
    assert wilson(3, 3)[1] == 1


@pytest.mark.parametrize("df", [1, 3.7, 60])
def test_students_quantile_agrees_with_scipy(df):
    assert t_quantile(df) == pytest.approx(student.ppf(0.975, df))
    assert t_quantile(df, 0.99) == pytest.approx(student.ppf(0.995, df))
    assert t_quantile(0.2) == t_quantile(1)


def test_the_percentile_interval_is_expanded_and_leaves_out_undefined_resamples():
    samples = np.append(np.arange(1001.0), [np.nan, np.nan])
    found = bootstrapped(500.0, samples, alone(12, 40))
    tail = norm.cdf(-student.ppf(0.975, 11) * np.sqrt(12 / 11))
    assert 0.005 < tail < 0.025
    assert (found["value"], found["low"], found["high"]) == pytest.approx((500, 1000 * tail, 1000 * (1 - tail)))
    assert found["undefined_resamples"] == 2
    assert bootstrapped(1.0, np.array([np.nan]), alone(12, 40))["reason"] == "undefined in every bootstrap resample"
    wider = bootstrapped(500.0, samples, alone(12, 40), level=0.99)
    assert wider["low"] < found["low"]
    assert "undefined_resamples" not in bootstrapped(500.0, samples[:-2], alone(12, 40))


def test_no_variation_is_not_certainty_nor_is_rounding():
    for samples in (np.ones(50), 7.029 + 1e-15 * np.arange(50)):
        found = bootstrapped(samples[0], samples, alone(12, 40))
        assert (found["value"], found["low"], found["high"]) == (samples[0], None, None)
        assert found["reason"].startswith("the same in every bootstrap resample")


def test_an_estimate_outside_its_own_resamples_has_no_interval():
    groups = group_images(np.arange(40), np.arange(40) % 2)
    samples = np.linspace(0.4, 0.6, 101)
    assert bootstrapped(0.5, samples, groups)["low"] is not None
    for value in (0.3, 0.7):
        found = bootstrapped(value, samples, groups)
        assert (found["value"], found["low"], found["high"]) == (value, None, None)
        assert found["reason"].startswith("it lies outside the interval of its own bootstrap resamples")


def test_resampling_needs_ten_groups_of_each_class():
    samples = np.linspace(0, 1, 100)
    assert bootstrapped(0.5, samples, alone(9, 40))["reason"] == "9 lesions with melanoma; an interval needs 10"
    assert bootstrapped(0.5, samples, alone(40, 9))["reason"] == "9 lesions without melanoma; an interval needs 10"
    assert bootstrapped(0.5, samples, alone(1, 40))["reason"] == "1 lesion with melanoma; an interval needs 10"
    assert bootstrapped(0.5, samples, alone(10, 10))["low"] is not None


def test_a_share_of_single_images_is_wilsons():
    groups = alone(4, 4)
    among = np.repeat([True, False], 4)
    found = proportion(np.array([1, 1, 1, 0, 1, 1, 1, 1], bool), among, groups)
    assert (found["value"], found["low"], found["high"]) == pytest.approx((0.75, *wilson(3, 4)))
    assert found["method"] == "wilson_effective"


def test_images_of_a_lesion_that_are_all_alike_count_as_one():
    """100 lesions of four equal images: the effective number is that of the lesions, but for the small correction."""
    lesion, label = np.repeat(np.arange(100), 4), np.ones(400, int)
    groups = group_images(lesion, label)
    hit = lesion % 5 > 0
    trials = effective_trials(hit, label == 1, groups)
    assert trials == pytest.approx(100, rel=0.02)
    assert effective_trials(np.ones(400, bool), label == 1, groups) == 100


def test_images_that_vary_apart_count_each():
    """Lesions whose images do not resemble each other: about all images count."""
    rng = np.random.default_rng(0)
    lesion, label = np.repeat(np.arange(2000), 4), np.ones(8000, int)
    trials = effective_trials(rng.random(8000) < 0.3, label == 1, group_images(lesion, label))
    assert trials == pytest.approx(8000, rel=0.1)


def test_the_effective_number_word_for_word():
    rng = np.random.default_rng(1)
    lesion = rng.integers(0, 30, 90)
    label = (rng.random(90) < 0.5).astype(int)
    groups = group_images(lesion, label)
    hit, among = rng.random(90) < 0.6, label == 1
    p, n = hit[among].mean(), among.sum()
    sizes = {g: (among & (lesion == g)).sum() for g in np.unique(lesion[among])}
    kish = n**2 / sum(size**2 for size in sizes.values())
    g = len(sizes)
    squares = sum(((hit - p)[among & (lesion == one)].sum()) ** 2 for one in sizes)
    ratio = (g / (g - 1) * squares / n**2) / (p * (1 - p) / kish)
    expected = kish / (((g - 1) * ratio + 4) / (g - 1 + 4))
    assert effective_trials(hit, among, groups) == pytest.approx(expected, rel=1e-12)


def test_one_lesion_counts_as_one():
    groups = group_images(np.zeros(6, int), np.ones(6, int))
    assert effective_trials(np.arange(6) < 3, np.ones(6, bool), groups) == pytest.approx(1)


@pytest.mark.parametrize("cells", [(12, 20, 5, 30), (10, 10, 3, 9), (0, 8, 7, 7)])
def test_the_difference_of_two_shares_is_newcombes(cells):
    a, n, b, m = cells
    found = difference_of(share(a, n), share(b, m))
    expected = confint_proportions_2indep(a, n, b, m, method="newcomb", compare="diff", correction=False)
    assert found["value"] == pytest.approx(a / n - b / m)
    assert (found["low"], found["high"]) == pytest.approx(expected, abs=1e-9)
    assert found["method"] == "mover"


def test_a_difference_takes_over_what_is_missing():
    none, bare = undefined("there is no melanoma"), point(0.5, reason="4 lesions with melanoma; an interval needs 5")
    assert difference_of(share(1, 2), none) == none
    assert difference_of(none, share(1, 2)) == none
    found = difference_of(share(1, 4), bare)
    assert (found["value"], found["low"], found["reason"]) == (-0.25, None, bare["reason"])


def test_the_mean_of_two_shares():
    found, one, two = mean_of(share(9, 10), share(30, 50)), share(9, 10), share(30, 50)
    half = np.hypot(one["value"] - one["low"], two["value"] - two["low"]) / 2
    assert found["value"] == pytest.approx(0.75)
    assert found["low"] == pytest.approx(0.75 - half)
    assert found["high"] == pytest.approx(0.75 + np.hypot(one["high"] - one["value"], two["high"] - two["value"]) / 2)


def test_moving_an_estimate_moves_its_interval():
    found = moved(share(1, 4), by=1.0, times=-1.0)
    assert (found["value"], found["low"], found["high"]) == pytest.approx(
        (0.75, 1 - wilson(1, 4)[1], 1 - wilson(1, 4)[0])
    )
    assert moved(point(0.2, reason="why"), by=0.1) == {**point(0.3, reason="why"), "value": pytest.approx(0.3)}
    assert moved(undefined("why"), by=1.0)["value"] is None


def test_the_ratio_of_two_shares_word_for_word():
    """Donner and Zou (2012), equation 10, as printed."""
    one, two = share(14, 20), share(6, 40)
    a, la, ua = one["value"], one["low"], one["high"]
    b, lb, ub = two["value"], two["low"], two["high"]
    low = (a * b - np.sqrt((a * b) ** 2 - la * ub * (2 * a - la) * (2 * b - ub))) / (ub * (2 * b - ub))
    high = (a * b + np.sqrt((a * b) ** 2 - ua * lb * (2 * a - ua) * (2 * b - lb))) / (lb * (2 * b - lb))
    assert ratio_interval(one, two) == pytest.approx((low, high))
    assert low < a / b < high


def test_the_ratio_to_a_share_of_none_is_bounded_below_alone():
    low, high = ratio_interval(share(14, 20), share(0, 40))
    one, two = share(14, 20), share(0, 40)
    assert low == pytest.approx(np.sqrt(one["low"] * (2 * one["value"] - one["low"])) / two["high"])
    assert high == np.inf
    assert ratio_interval(share(0, 20), share(5, 40))[0] == 0
