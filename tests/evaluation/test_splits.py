import dataclasses

import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.splits import by_split, rows_of


def with_splits(p, *texts):
    return dataclasses.replace(p, source="all.csv", metadata={"split": np.resize(np.array(texts), p.n)})


def test_rows_go_where_they_belong(single):
    found = by_split(with_splits(single, "Train", "val", "TEST", "test"))
    assert {name: split.n for name, split in found.items()} == {"train": 100, "validation": 100, "test": 200}
    assert found["test"].notes == (
        "the column split of all.csv has 100 train, 100 validation, 200 test rows, and each goes where it belongs",
    )
    assert found["train"].notes == ()


def test_a_column_that_names_no_splits_is_not_used_and_it_is_said(single):
    found = by_split(with_splits(single, "fold 1", "fold 2"))
    assert list(found) == ["test"]
    assert found["test"].n == single.n
    assert "its values (fold 1, fold 2) are no names of splits" in found["test"].notes[0]
    assert by_split(single) == {"test": single}
    assert list(by_split(with_splits(single, ""))) == ["test"]


def test_rows_of_no_known_split_are_left_out_and_counted(single):
    found = by_split(with_splits(single, "test", "extra"))
    assert found["test"].n == 200
    assert found["test"].notes == ("200 rows whose split is no name of one (extra) are left out",)


def test_training_rows_are_never_judged(single):
    with pytest.raises(
        UserError, match=r"all\.csv has no test rows: its column split says 400 train; training rows are"
    ):
        rows_of(with_splits(single, "train"), "test")
    with pytest.raises(UserError, match="has no validation rows: its column split says 400 test"):
        rows_of(with_splits(single, "test"), "validation")
    assert rows_of(with_splits(single, "test", "train"), "test").n == 200
    assert rows_of(single, "validation") is single
