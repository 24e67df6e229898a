"""A dataset that was made under other rules is not taken for today's."""

import dataclasses

import numpy as np
import pytest

from mole_jax.data.facts import read_facts
from mole_jax.data.image_file import LoadedImage, UnusableImageError
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.prepare.unchanged import what_changed
from mole_jax.data.records import Quarantined
from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError


@pytest.fixture
def made(ham_source, tmp_path):
    """The folder of a dataset made of `ham_source`, in which one file is no image."""
    (ham_source / "HAM10000_images_part_1" / "ISIC_0000000.png").write_bytes(b"half a download")
    return prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1).directory


def load(record):
    if record.image_id == "ISIC_0000000":
        raise UnusableImageError("not an image")
    return LoadedImage(np.zeros((224, 224, 3), np.uint8), "", 1, 1)


def test_each_difference_is_said_with_an_example(made, ham_source, tmp_path):
    facts, today = read_facts(made), list_source(ham_source)
    assert what_changed(made, facts, today, load) == ""

    def changed(**fields):
        one = next(record for record in today.records if record.image_id == "ISIC_0000001")
        records = [dataclasses.replace(r, **fields) if r is one else r for r in today.records]
        return what_changed(made, facts, dataclasses.replace(today, records=tuple(records)), load)

    such = "1 of 23 images have another {} (such as ISIC_0000001: {}, now {})"
    assert changed(label=0) == such.format("label", "melanoma", "mole")
    assert changed(lesion_id="L") == such.format("lesion", "HAM_0000000", "L")
    assert changed(patient_id="P") == such.format("patient", "none", "P")
    assert changed(image_id="a/b") == "1 of 23 images have another id (such as a/b: ISIC_0000001, now a/b)"
    # Lesions that were told by their looks are not those of the source.
    by_looks = dataclasses.replace(facts, by_looks=True)
    joined = [dataclasses.replace(record, lesion_id="L") for record in today.records]
    assert what_changed(made, by_looks, dataclasses.replace(today, records=tuple(joined)), load) == ""
    # A file is left out today.
    path = today.records[1].source_path
    fewer = dataclasses.replace(
        today,
        records=(today.records[0], *today.records[2:]),
        quarantined=(Quarantined(path, "no photograph: its name ends in _mask"),),
    )
    said = f"1 images are left out (such as {path}: no photograph: its name ends in _mask)"
    assert what_changed(made, facts, fewer, load) == said
    # A file that was left out can be read today.
    readable = what_changed(made, facts, today, lambda record: load(today.records[1]))
    assert readable == "1 files that were left out are images (such as HAM10000_images_part_1/ISIC_0000000.png)"


def test_prepare_refuses_it_with_the_way_out(made, ham_source, tmp_path, monkeypatch):
    assert prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1).already_prepared
    monkeypatch.setattr("mole_jax.data.prepare.prepare.what_changed", lambda *_: "3 images have another label")
    with pytest.raises(
        UserError,
        match="was prepared under other rules: 3 images have another label; give --overwrite to replace it, or another",
    ):
        prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)
