"""MedMNIST's archives: DermaMNIST is read as it is, others are asked about, hostile ones refused before reading."""

import io
import zipfile

import numpy as np
import pytest

from mole_jax.audit.collection import of_source
from mole_jax.data.dataset import open_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.source import npz
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError
from mole_jax.vocabulary.diagnoses import Decisions

PARTS = {"train": 28, "val": 14, "test": 14}


@pytest.fixture
def make(tmp_path):
    """make(classes, **arrays): an archive of 28-pixel images whose labels go round the classes; with other arrays."""

    def write(classes=7, **changed):
        random = np.random.default_rng(0)
        arrays = {}
        for part, count in PARTS.items():
            arrays[f"{part}_images"] = random.integers(0, 256, (count, 28, 28, 3), np.uint8)
            arrays[f"{part}_labels"] = (np.arange(count) % classes)[:, None].astype(np.uint8)
        path = tmp_path / "dermamnist.npz"
        np.savez_compressed(path, **(arrays | changed))
        return path

    return write


def test_dermamnist_is_read_with_its_splits_and_classes(make, tmp_path):
    path = make()
    summary = prepare("derma", path, data_dir=tmp_path / "data", workers=1, group_by_looks="off")
    facts = summary.facts
    assert (facts.layout, facts.protocol, facts.files) == ("npz", "given", 56)
    assert facts.counts == {"train": [24, 4], "validation": [12, 2], "test": [12, 2]}
    assert summary.notes[0].startswith("labels of dermamnist.npz are read as DermaMNIST's: 0 akiec, 1 bcc, 2 bkl, 3 df")
    dataset = open_dataset(tmp_path / "data", "derma")
    row = next(row for row in dataset.rows["validation"] if row.image_id == "val_4")
    assert (row.dx, row.label, row.width, row.source_path) == ("mel", 1, 28, "dermamnist.npz/val/4")
    image = dataset.splits["validation"][dataset.rows["validation"].index(row)]["image"]
    with np.load(path) as arrays:
        original = arrays["val_images"][4]
    assert np.abs(image.mean((0, 1)) - original.mean((0, 1))).max() < 2, "the same picture, larger"
    assert prepare("derma", path.parent / "dermamnist.npz", data_dir=tmp_path / "data", group_by_looks="off")


def test_the_archive_may_lie_alone_in_a_folder_and_be_audited(make):
    collection = of_source(make().parent)
    assert (len(collection), collection.members[0].split, collection.from_files) == (56, "train", False)
    assert collection.load(30).image.shape == (224, 224, 3)


def test_the_published_set_is_stamped(make, monkeypatch, tmp_path):
    monkeypatch.setattr(npz, "HAM10000", (8,) * 7)
    facts = prepare("derma", make(), data_dir=tmp_path / "data", workers=1, group_by_looks="off").facts
    assert facts.leaky and facts.leak.startswith("DermaMNIST splits HAM10000 by image")


def test_other_labels_are_asked_about(make):
    with pytest.raises(UserError, match=r"the labels of dermamnist.npz has 2 values .*: 0 \(28\), 1 \(28\); say which"):
        list_source(make(classes=2))
    listing = list_source(make(classes=2), choices=Choices(Decisions(("1",))))
    assert sum(record.label for record in listing.records) == 28
    listing = list_source(make(), choices=Choices(Decisions(("4", "1"), ("0", "2", "3", "5", "6"))))
    assert {record.dx for record in listing.records if record.label} == {"1", "4"}, "the user's numbers go first"


HOSTILE = {
    "grey": (
        {"val_images": np.zeros((14, 28, 28), np.uint8)},
        r"val_images of .* has the shape \[14, 28, 28\] of uint8",
    ),
    "floats": ({"test_images": np.zeros((14, 8, 8, 3), np.float32)}, r"of float32, and colour photographs are"),
    "too few labels": (
        {"train_labels": np.zeros(3, np.uint8)},
        r"train_labels of .* its 28 images need a whole number",
    ),
    "objects": (
        {"train_labels": np.array([{}] * 28)},
        "hold Python objects, which are not read as they could run code",
    ),
}


@pytest.mark.parametrize(("changed", "message"), HOSTILE.values(), ids=HOSTILE)
def test_arrays_of_another_kind_are_named(make, changed, message):
    with pytest.raises(UserError, match=message):
        list_source(make(**changed))


def claim(shape):
    """A .npy file that declares a shape and holds nothing."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_what_an_array_declares_is_not_believed(make, tmp_path):
    """A bomb of zeros that declares itself truly, and a small file that claims to be large."""
    path = make()
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for content, message in (
        (claim((10**6, 10**6, 10**6, 3)), "is a damaged archive .*train_images declares 3,000,000,000,000,000,000 byt"),
        (members["train_images.npy"][:200], "is a damaged archive"),
        (b"no array", "is a damaged archive"),
    ):
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in (members | {"train_images.npy": content}).items():
                archive.writestr(name, data)
        with pytest.raises(UserError, match=message):
            list_source(path)


def test_more_than_the_budget_is_refused(make, monkeypatch):
    monkeypatch.setattr(npz, "MAX_BYTES", 1000)
    with pytest.raises(UserError, match=r"holds 0\.0 GB of arrays, and the limit is 0\.0"):
        list_source(make())


def test_a_damaged_archive_is_said_to_be(make):
    path = make()
    path.write_bytes(path.read_bytes()[:-30])
    with pytest.raises(
        UserError, match=r"dermamnist.npz is no archive with the arrays train_images, train_labels, val_images"
    ):
        list_source(path)
