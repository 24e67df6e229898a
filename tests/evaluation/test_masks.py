"""Jaccard and Dice against scikit-learn, their means' intervals against scipy."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import f1_score, jaccard_score

from mole_jax.evaluation.masks import Agreement, agreement, mask_figures


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_they_are_scikit_learns(share):
    random = np.random.default_rng(0)
    found, truth = random.random((2, 30, 40)) < share
    ours = agreement(found, truth)
    assert ours.jaccard == pytest.approx(jaccard_score(truth.ravel(), found.ravel()))
    assert ours.dice == pytest.approx(f1_score(truth.ravel(), found.ravel()))


def test_the_ends():
    nothing, everything = np.zeros((4, 4), bool), np.ones((4, 4), bool)
    assert agreement(nothing, nothing) == Agreement(1.0, 1.0)
    assert agreement(nothing, everything) == Agreement(0.0, 0.0)
    assert agreement(everything, everything) == Agreement(1.0, 1.0)


def drawn(count):
    jaccard = np.random.default_rng(1).beta(6, 2, count)
    return [Agreement(value, 2 * value / (1 + value)) for value in jaccard.tolist()]


def test_the_intervals_are_scipys_where_each_image_is_a_group():
    values = drawn(150)
    figures = mask_figures(values, np.arange(150), empty=2)
    jaccard = np.array([each.jaccard for each in values])
    theirs = stats.bootstrap((jaccard,), np.mean, method="percentile", rng=np.random.default_rng(0))
    assert figures["jaccard"]["value"] == pytest.approx(jaccard.mean())
    for ours, other in zip(("low", "high"), theirs.confidence_interval, strict=True):
        assert figures["jaccard"][ours] == pytest.approx(other, abs=0.004)
    cut = np.where(jaccard < 0.65, 0, jaccard)
    assert figures["challenge"]["value"] == pytest.approx(cut.mean())
    assert figures["dice"]["value"] == pytest.approx(np.mean([each.dice for each in values]))
    assert (figures["images"], figures["groups"], figures["empty"]) == (150, 150, 2)


def test_images_of_one_lesion_are_drawn_together():
    """Each image five times over says no more than once."""
    once = mask_figures(drawn(60), np.arange(60), empty=0)["jaccard"]
    five = mask_figures(drawn(60) * 5, np.tile(np.arange(60), 5), empty=0)["jaccard"]
    assert (five["low"], five["high"]) == pytest.approx((once["low"], once["high"]))
    apart = mask_figures(drawn(60) * 5, np.arange(300), empty=0)["jaccard"]
    assert apart["high"] - apart["low"] < 0.6 * (once["high"] - once["low"])


def test_few_lesions_have_no_interval():
    figures = mask_figures(drawn(9), np.arange(9), empty=0)
    assert figures["jaccard"]["low"] is None
    assert figures["jaccard"]["reason"] == "9 lesions; an interval needs 10"
