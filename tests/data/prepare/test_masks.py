"""Masks as a part of a dataset: paired by name, moved with their images, written beside them, or said why not."""

import csv
import hashlib

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mole_jax.data.dataset import load_dataset
from mole_jax.data.manifest import read_manifest
from mole_jax.data.prepare.copies import apply_affine, draw_affine
from mole_jax.data.prepare.masks import pair
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.shards import open_split
from mole_jax.errors import UserError


def lesion(number):
    """A rectangle of its own for each image, in 30 rows and 40 columns."""
    mask = np.zeros((30, 40), bool)
    mask[5 + number % 7 : 22, 12 : 20 + number % 9] = True
    return mask


@pytest.fixture
def masks(ham_source, tmp_path):
    folder = tmp_path / "masks" / "HAM10000_segmentations_lesion_tschandl"
    folder.mkdir(parents=True)
    for path in ham_source.rglob("*.png"):
        number = int(path.stem.removeprefix("ISIC_"))
        Image.fromarray(lesion(number).astype(np.uint8) * 255).save(folder / f"{path.stem}_segmentation.png")
    return tmp_path / "masks"


@pytest.fixture
def prepared(ham_source, masks, tmp_path):
    return prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1, masks=masks)


def expected(image_id):
    """By Pillow alone: the central square, bicubic to 224, cut at 128."""
    square = Image.fromarray(lesion(int(image_id.removeprefix("ISIC_")))[:, 5:35].astype(np.uint8) * 255)
    return np.asarray(square.resize((224, 224), Image.Resampling.BICUBIC)) >= 128


def quarantined(summary):
    with (summary.directory / "quarantine.csv").open() as file:
        return {row["source_path"].rpartition("/")[2]: row["reason"] for row in csv.DictReader(file)}


def test_each_record_has_its_own_mask(prepared, tmp_path):
    dataset = load_dataset(tmp_path / "data", "ham")
    count = 0
    for split, rows in dataset.rows.items():
        by_tfds = tfds.builder_from_directory(str(prepared.directory)).as_data_source(split)
        for i, row in enumerate(rows):
            mask = dataset.splits[split][i]["mask"]
            np.testing.assert_array_equal(mask, expected(row.image_id))
            np.testing.assert_array_equal(by_tfds[i]["mask"], mask.astype(np.uint8))
            assert row.mask == hashlib.sha256(mask.tobytes()).hexdigest()
            count += 1
    assert count == 24
    assert prepared.facts.masks


def test_without_masks_files_are_as_they_were(ham_source, prepared, tmp_path):
    plain = prepare("ham", ham_source, data_dir=tmp_path / "plain", workers=1)
    assert "masks" not in (plain.directory / "metadata.json").read_text()
    assert (plain.directory / "manifest.csv").read_text().splitlines()[0].endswith(",patient_id")
    assert "mask" not in open_split(plain.directory, "train")[0]
    assert plain.facts.fingerprint != prepared.facts.fingerprint
    assert [row.pixels for row in read_manifest(plain.directory)] == [
        row.pixels for row in read_manifest(prepared.directory)
    ]


def test_the_same_bytes_from_one_process_and_from_two(ham_source, masks, prepared, tmp_path):
    two = prepare("ham", ham_source, data_dir=tmp_path / "two", workers=2, masks=masks)
    assert (two.directory / "SHA256SUMS").read_bytes() == (prepared.directory / "SHA256SUMS").read_bytes()


def test_a_copys_mask_is_moved_as_its_image(ham_source, masks, tmp_path):
    summary = prepare("ham", ham_source, protocol="paper", data_dir=tmp_path / "d", examples=14, workers=1, masks=masks)
    seen = 0
    rows = read_manifest(summary.directory)
    for split in ("train", "validation", "test"):
        source = open_split(summary.directory, split)
        for i, row in enumerate(row for row in rows if row.split == split):
            if not row.augmented_from:
                continue
            copies = [r.image_id for r in rows if r.augmented_from == row.augmented_from]
            whole = expected(row.augmented_from).astype(np.uint8)[..., None] * np.uint8(255)
            moved = [
                apply_affine(whole, draw_affine(0, row.augmented_from, n + 1))[..., 0] >= 128
                for n in range(len(copies))
            ]
            assert any((source[i]["mask"] == each).all() for each in moved)
            seen += 1
    assert seen


def test_an_image_without_a_usable_mask_is_quarantined_and_counted(ham_source, masks, tmp_path):
    folder = next(masks.iterdir())
    (folder / "ISIC_0000001_segmentation.png").unlink()
    Image.fromarray(np.zeros((30, 40), np.uint8)).save(folder / "ISIC_0000002_segmentation.png")
    Image.fromarray(np.full((40, 30), 255, np.uint8)).save(folder / "ISIC_0000003_segmentation.png")
    outside = np.zeros((30, 40), np.uint8)
    outside[:, :3] = 255
    Image.fromarray(outside).save(folder / "ISIC_0000004_segmentation.png")
    summary = prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1, masks=masks)
    assert quarantined(summary) == {
        "ISIC_0000001.png": "no mask among --masks",
        "ISIC_0000002.png": "its mask is empty",
        "ISIC_0000003.png": "its mask has 30x40 pixels and the image 40x30: not of this image, or not cropped and "
        "resized with it",
        "ISIC_0000004.png": "its mask is empty within the central square that the image is cropped to",
    }
    assert (summary.facts.files, summary.facts.images, summary.facts.quarantined) == (24, 20, 4)


@pytest.mark.parametrize(
    ("images", "masks", "found"),
    [
        (["a.jpg"], ["a_segmentation.png"], {"a.jpg": "a_segmentation.png"}),
        (["x/a.jpg"], ["deep/er/a_MASK.png"], {"x/a.jpg": "deep/er/a_MASK.png"}),
        (["a.jpg", "b.jpg"], ["b.png"], {"a.jpg": "no mask among --masks", "b.jpg": "b.png"}),
        (["x/a.jpg", "y/a.jpg"], ["x/a.png", "y/a_mask.png"], {"x/a.jpg": "x/a.png", "y/a.jpg": "y/a_mask.png"}),
        (
            ["x/a.jpg", "y/a.jpg"],
            ["x/a.png"],
            {"x/a.jpg": "x/a.png", "y/a.jpg": "which mask is its own is not certain"},
        ),
        (["a.jpg"], ["a.png", "a_mask.png"], {"a.jpg": "which mask is its own is not certain: 1 images and 2 masks"}),
    ],
)
def test_names_decide_whose_a_mask_is(images, masks, found):
    paired = pair(images, masks)
    assert paired.keys() == found.keys()
    for image, mask in found.items():
        assert str(paired[image]).startswith(mask)


def test_another_set_of_masks_is_another_dataset(ham_source, masks, prepared, tmp_path):
    assert prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1, masks=masks).already_prepared
    with pytest.raises(UserError, match="with other lesion masks, or with and without them"):
        prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: None, r"masks '.*' is missing; give --masks=DIR"),
        (lambda folder: folder.write_text("no folder"), r"masks '.*' is not a folder; give --masks=DIR"),
        (lambda folder: folder.mkdir(), r"masks '.*' holds no picture"),
        (
            lambda folder: (folder.mkdir(), Image.new("L", (40, 30)).save(folder / "other.png")),
            r"none of the 24 images, such as '.*ISIC_0000000.png', has a mask in '.*', which has 1, such as 'other",
        ),
    ],
)
def test_a_folder_without_these_images_masks_is_refused(ham_source, tmp_path, make, message):
    make(tmp_path / "given")
    with pytest.raises(UserError, match=message):
        prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1, masks=tmp_path / "given")


def test_drawn_lesions_have_none(tmp_path):
    with pytest.raises(UserError, match="masks are for images that are files, and the layout synthetic has none"):
        prepare("synthetic", examples=12, data_dir=tmp_path, workers=1, masks=tmp_path)
