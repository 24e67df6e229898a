"""Datasets that nothing is trained on."""

import pytest
import tensorflow_datasets as tfds

from mole_jax.data.dataset import load_dataset, open_dataset
from mole_jax.data.facts import read_facts
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError


@pytest.fixture
def external(ham_source, tmp_path):
    return prepare("other", ham_source, protocol="external", data_dir=tmp_path / "data", workers=1)


def test_everything_is_in_test_and_can_be_read(external, tmp_path):
    facts = read_facts(external.directory)
    assert facts.counts == {"train": [0, 0], "validation": [0, 0], "test": [16, 8]}
    assert (facts.channel_mean, facts.channel_std, facts.leaky) == ([], [], False)
    dataset = open_dataset(tmp_path / "data", "other")
    assert list(dataset.rows) == list(dataset.splits) == ["test"]
    records = tfds.builder_from_directory(str(dataset.directory)).as_data_source("test")
    assert [row.image_id.encode() for row in dataset.rows["test"]] == [record["image_id"] for record in records]
    assert sum(dataset.labels["test"]) == 8


def test_it_is_not_for_training(external, tmp_path):
    with pytest.raises(UserError, match=r"'other' has no train split .protocol external.: it is for external validat"):
        load_dataset(tmp_path / "data", "other")


def test_both_classes_are_still_needed(tmp_path, write_image, write_table):
    write_image(tmp_path / "source" / "a.png")
    write_table(tmp_path / "source" / "HAM10000_metadata.csv", [("L", "a", "mel")])
    with pytest.raises(UserError, match="no usable mole image"):
        prepare("other", tmp_path / "source", protocol="external", data_dir=tmp_path / "data", workers=1)
