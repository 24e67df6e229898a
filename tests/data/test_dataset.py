"""A part of the training images: drawn once, by class, the smaller within the larger."""

import dataclasses

import numpy as np
import pytest

from mole_jax.data.dataset import with_fewer
from mole_jax.data.shards import Relabelled
from mole_jax.errors import UserError


def test_a_part_keeps_its_share_of_melanomas_and_its_records(dataset):
    labels = dataset.labels["train"]
    part = with_fewer(dataset, 12, seed=0)
    assert len(part.splits["train"]) == len(part.rows["train"]) == 12
    assert part.labels["train"].sum() == round(12 * labels.mean())
    for row, place in zip(part.rows["train"], range(12), strict=True):
        whole = dataset.rows["train"].index(row)
        np.testing.assert_array_equal(part.splits["train"][place]["image"], dataset.splits["train"][whole]["image"])
        assert part.splits["train"][place]["label"] == row.label
    assert part.rows["test"] == dataset.rows["test"]


def test_a_larger_part_holds_the_smaller_and_another_seed_draws_another(dataset):
    small, large, other = (
        {row.image_id for row in with_fewer(dataset, n, seed=seed).rows["train"]}
        for n, seed in ((6, 0), (15, 0), (6, 1))
    )
    assert small < large
    assert small != other


def test_the_smallest_part_has_both_classes_and_0_is_all(dataset):
    assert with_fewer(dataset, 2, seed=0).labels["train"].sum() == 1
    assert with_fewer(dataset, 0, seed=0) is dataset
    assert len(with_fewer(dataset, len(dataset.rows["train"]), seed=0).rows["train"]) == len(dataset.rows["train"])


@pytest.mark.parametrize("examples", [1, 10_000])
def test_a_part_that_cannot_be_is_refused(dataset, examples):
    with pytest.raises(UserError, match=rf"examples={examples:,}: the training split of 'synthetic' has \d+ images"):
        with_fewer(dataset, examples, seed=0)


def test_what_each_record_shows_by_group(dataset):
    words = {"mel": 1, "nv": 2, "bkl": 3, "wart": 8, "benign": 0, "": 0}
    rows = [dataclasses.replace(dataset.rows["train"][0], dx=dx, label=int(dx == "mel")) for dx in words]
    given = dataclasses.replace(dataset, rows={"train": rows})
    assert given.diagnoses["train"].tolist() == list(words.values())
    relabelled = Relabelled(dataset.splits["train"], given.diagnoses["train"])
    assert [relabelled[i]["label"] for i in range(6)] == list(words.values())
    np.testing.assert_array_equal(relabelled[3]["image"], dataset.splits["train"][3]["image"])
    assert len(relabelled) == len(dataset.splits["train"])
