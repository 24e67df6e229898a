"""A split's rows and logits as the table of predictions that evaluation reads."""

import dataclasses

import numpy as np

from mole_jax.data.manifest import ManifestRow, read_manifest, write_manifest
from mole_jax.data.records import Example, Record
from mole_jax.runs.predictions import to_predictions


def test_what_is_not_known_of_an_image_is_an_empty_cell(tmp_path):
    known = Example("a.png", "a", 1, "L", age=45.0, sex="male", sha256="0", width=1, height=1)
    unknown = Example("b.png", "b", 0, "M", sha256="1", width=1, height=1)
    rows = [ManifestRow.from_example(example, "test") for example in (known, unknown)]
    write_manifest(tmp_path / "manifest.csv", rows)
    assert read_manifest(tmp_path) == rows  # on Python 3.13 too, where two rows with an age of NaN would differ
    predictions = to_predictions(rows, np.array([0, 2], np.float32))
    assert predictions.metadata["age"].tolist() == ["45.0", ""]
    assert predictions.metadata["sex"].tolist() == ["male", ""]
    assert predictions.score.tolist() == [0.5, 1 / (1 + np.exp(-2.0))]


def test_records_that_say_the_same_are_equal():
    """With what is not known by default; a NaN is not equal to itself."""
    one, other = Record("a.png", "a", 1, "L"), Record("a.png", "a", 1, "L")
    assert one == other
    assert all(value == value for value in dataclasses.asdict(one).values())
