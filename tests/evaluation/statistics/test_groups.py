import numpy as np
import pytest

from mole_jax.evaluation.statistics.groups import draw_weights, group_images

LESIONS = np.array(["c", "a", "a", "b", "d", "d", "e"])
LABELS = np.array([1, 0, 0, 1, 0, 1, 0])


def test_groups_are_numbered_in_sorted_order_with_their_classes():
    groups = group_images(LESIONS, LABELS)
    assert groups.index.tolist() == [2, 0, 0, 1, 3, 3, 4]
    assert groups.stratum.tolist() == [0, 1, 1, 2, 0]  # d has images of both classes
    assert (groups.count, groups.positives, groups.negatives) == (5, 3, 3)
    assert groups.sums(np.arange(7)).tolist() == [3, 3, 0, 9, 6]


def test_kishs_effective_number():
    groups = group_images(LESIONS, LABELS)
    assert groups.effective(LABELS == 0) == pytest.approx(16 / (4 + 1 + 1))
    assert groups.effective(LABELS == 1) == 3
    assert groups.effective(np.zeros(7, bool)) == 0


def test_as_many_groups_are_drawn_as_there_are_whatever_their_class():
    label = (np.arange(30) % 3 == 0).astype(int)
    groups = group_images(np.arange(30).astype(str), label)
    (weights,) = draw_weights(groups, resamples=400, seed=0, at_a_time=400)
    np.testing.assert_array_equal(weights.sum(axis=0), 30)
    assert weights.std() == pytest.approx(np.sqrt(29 / 30), abs=0.02)  # multinomial
    melanomas = weights[groups.stratum == 1].sum(axis=0)
    assert melanomas.mean() == pytest.approx(10, abs=0.5)
    assert melanomas.std() == pytest.approx(np.sqrt(30 / 3 * 2 / 3), abs=0.3)  # binomial: the share varies


def test_draws_depend_on_the_seed_alone_not_on_the_pieces():
    groups = group_images(np.arange(31).astype(str), (np.arange(31) % 3 == 0).astype(int))

    def draws(seed, at_a_time):
        return np.concatenate(list(draw_weights(groups, resamples=20, seed=seed, at_a_time=at_a_time)), axis=1)

    np.testing.assert_array_equal(draws(5, 20), draws(5, 3))
    assert (draws(5, 20) != draws(6, 20)).any()
