"""Batches: every image counted once in evaluation, equal batches and equal use in training, a position that can be
restored.
"""

import numpy as np
import pytest

from mole_jax.data.loader import epoch_order, evaluation_batches, steps_per_epoch, train_batches


class Numbered:
    """Records whose image holds their own index."""

    def __init__(self, n):
        self.n = n

    def __len__(self):
        return self.n

    def __getitem__(self, index):
        return {"image": np.full((2, 2, 3), index % 251, np.uint8), "label": index % 3 == 0}


LABELS = np.array([i % 3 == 0 for i in range(101)], np.int32)


def drawn(batches):
    return np.concatenate([batch["image"][:, 0, 0, 0] for batch in batches])


def train(**changes):
    settings = {"batch_size": 7, "end": 60, "seed": 3, "balance": "none", **changes}
    return train_batches(Numbered(101), LABELS, **settings)


@pytest.mark.parametrize(("n", "batch_size"), [(101, 500), (1009, 500), (1000, 500), (3, 1)])
def test_evaluation_counts_every_image_once_and_in_order(n, batch_size):
    batches = list(evaluation_batches(Numbered(n), batch_size=batch_size))
    assert all(batch["image"].shape == (batch_size, 2, 2, 3) for batch in batches)
    mask = np.concatenate([batch["mask"] for batch in batches])
    assert mask.sum() == n
    np.testing.assert_array_equal(drawn(batches)[mask], np.arange(n) % 251)
    labels = np.concatenate([batch["label"] for batch in batches])
    np.testing.assert_array_equal(labels[mask], np.arange(n) % 3 == 0)
    assert not labels[~mask].any()


def test_training_uses_every_image_equally_often_in_equal_batches():
    batches = list(train(end=303))  # 303 * 7 = 21 * 101
    assert {batch["image"].shape[0] for batch in batches} == {7}
    assert all(batch["mask"].all() for batch in batches)
    np.testing.assert_array_equal(np.bincount(drawn(batches), minlength=101), 21)


def test_a_batch_larger_than_the_split_is_filled_from_the_next_epochs():
    (batch,) = train(batch_size=500, end=1)
    counts = np.bincount(drawn([batch]), minlength=101)
    assert counts.sum() == 500
    assert set(counts) == {4, 5}
    assert steps_per_epoch(101, 500) == 1


def test_epochs_differ_and_come_from_the_seed():
    first, second = (epoch_order(LABELS, seed=0, epoch=epoch, balance=False) for epoch in (0, 1))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(drawn(train()), drawn(train()))
    assert not np.array_equal(drawn(train()), drawn(train(seed=4)))


def test_the_balanced_order_has_as_many_of_each_class_and_repeats_evenly():
    order = epoch_order(LABELS, seed=0, epoch=5, balance=True)
    assert len(order) == len(LABELS)
    assert LABELS[order].sum() == len(LABELS) // 2
    repeats = np.bincount(order, minlength=101)
    assert set(repeats[LABELS == 1]) == {1, 2}
    assert set(repeats[LABELS == 0]) == {0, 1}


@pytest.mark.parametrize("balance", ["none", "sampler"])
def test_batches_from_a_later_step_on_are_the_rest_of_the_sequence(balance):
    unbroken = drawn(train(balance=balance))
    start = drawn([batch for batch, _ in zip(train(balance=balance), range(23), strict=False)])
    np.testing.assert_array_equal(np.concatenate([start, drawn(train(balance=balance, start=23))]), unbroken)
