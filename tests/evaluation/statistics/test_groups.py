import numpy as np
import pytest

from mole_jax.evaluation.statistics.groups import draw_weights, group_images

LESIONS = np.array(["c", "a", "a", "b", "d", "d", "e"])
LABELS = np.array([1, 0, 0, 1, 0, 1, 0])


def test_lesions_are_numbered_in_sorted_order_with_their_class():
    groups = group_images(LESIONS, LABELS)
    assert groups.index.tolist() == [2, 0, 0, 1, 3, 3, 4]
    assert groups.stratum.tolist() == [0, 1, 1, 2, 0]  # d has images of both classes
    assert groups.count == 5
    assert not groups.single
    assert not groups.resamplable  # the mixed stratum has one lesion
    assert group_images(np.array(["x", "y"]), np.array([0, 1])).single


def test_each_stratum_keeps_its_number_of_lesions():
    groups = group_images(np.arange(30).astype(str), (np.arange(30) % 3 == 0).astype(int))
    (weights,) = draw_weights(groups, resamples=50, seed=0, at_a_time=50)
    for stratum in (0, 1):
        of = groups.stratum == stratum
        np.testing.assert_array_equal(weights[of].sum(axis=0), of.sum())
    assert weights.std() == pytest.approx(1, abs=0.1)  # about Poisson


def test_draws_depend_on_the_seed_alone_not_on_the_pieces():
    groups = group_images(np.arange(31).astype(str), (np.arange(31) % 3 == 0).astype(int))

    def draws(seed, at_a_time):
        return np.concatenate(list(draw_weights(groups, resamples=20, seed=seed, at_a_time=at_a_time)), axis=1)

    np.testing.assert_array_equal(draws(5, 20), draws(5, 3))
    assert (draws(5, 20) != draws(6, 20)).any()
