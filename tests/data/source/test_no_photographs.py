"""Files that are no photographs of lesions are left out by rule, with the reason."""

import numpy as np
import pytest
from PIL import Image

from mole_jax.data.image_file import UnusableImageError
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.source.listing import list_source
from mole_jax.data.source.photographs import load_photograph, why_no_photograph


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("a/b.jpg", ""),
        ("a/mask.jpg", ""),
        ("a/...png", ""),
        ("a/masked_nevus.jpg", ""),
        ("a/.b.jpg", "hidden file"),
        ("a/._b.jpg", "hidden file"),
        (".ipynb_checkpoints/b-checkpoint.jpg", "in the hidden folder .ipynb_checkpoints"),
        ("a/@eaDir/b.jpg/SYNOPHOTO_THUMB_M.jpg", "in @eaDir: thumbnails of a Synology, not photographs"),
        ("__MACOSX/a/b.jpg", "in __MACOSX: macOS' own notes, not photographs"),
        ("a/b_superpixels.png", "no photograph: its name ends in _superpixels"),
        ("a/b_Segmentation.PNG", "no photograph: its name ends in _segmentation"),
        ("a/b_mask.png", "no photograph: its name ends in _mask"),
        ("a/about_the_mask.txt", ""),
    ],
)
def test_paths_tell_what_programs_and_people_leave_beside_photographs(path, reason):
    assert why_no_photograph(path) == reason


def disc(mode="L", high=255, side=300):
    y, x = np.mgrid[-1 : 1 : side * 1j, -1 : 1 : side * 1j]
    return Image.fromarray(np.where(x**2 + y**2 < 0.4, high, 0).astype(np.uint8)).convert(mode)


@pytest.mark.parametrize(("mode", "name"), [("1", "a.png"), ("L", "a.png"), ("RGB", "a.bmp"), ("L", "a.jpg")])
@pytest.mark.parametrize("side", [40, 224, 300])
def test_two_valued_pictures_are_masks(tmp_path, mode, name, side):
    disc(mode, side=side).save(tmp_path / name, quality=95)
    with pytest.raises(UnusableImageError, match="no photograph: two-valued, as a mask is"):
        load_photograph(tmp_path / name)


def test_values_of_0_and_1_are_a_mask_too(tmp_path):
    disc(high=1).save(tmp_path / "a.png")
    with pytest.raises(UnusableImageError, match="two-valued"):
        load_photograph(tmp_path / "a.png")


def test_a_dark_photograph_is_one(tmp_path, write_image):
    load_photograph(write_image(tmp_path / "noise.png"))
    pixels = np.zeros((300, 300, 3), np.uint8)
    pixels[100:200, 100:200] = np.random.default_rng(0).integers(0, 256, (100, 100, 3))
    Image.fromarray(pixels).save(tmp_path / "dark.png")
    load_photograph(tmp_path / "dark.png")


KINDS = {
    "HEIC image": b"\0\0\0\x18ftypheic" + bytes(200),
    "AVIF image": b"\0\0\0\x18ftypavif" + bytes(200),
    "DICOM file": bytes(128) + b"DICM" + bytes(100),
    "JPEG 2000 image": b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(200),
}


@pytest.mark.parametrize("kind", KINDS)
def test_formats_that_are_not_read_are_named_with_the_remedy(tmp_path, kind):
    (tmp_path / "a").write_bytes(KINDS[kind])
    with pytest.raises(UnusableImageError, match=f"{kind}, which is not read; convert it to JPEG or PNG and prepare"):
        load_photograph(tmp_path / "a")


def test_anything_else_is_no_image(tmp_path):
    (tmp_path / "a").write_bytes(b"text")
    with pytest.raises(UnusableImageError, match=r"^not an image$"):
        load_photograph(tmp_path / "a")


def test_masks_of_the_same_names_never_take_the_place_of_the_photographs(tmp_path, write_image, write_table):
    source = tmp_path / "src"
    for i in range(12):
        write_image(source / "Images" / f"ISIC_{i}.jpg")
        (source / "Ground_truth").mkdir(exist_ok=True)
        disc().save(source / "Ground_truth" / f"ISIC_{i}.png")
    write_table(source / "HAM10000_metadata.csv", [(f"L{i}", f"ISIC_{i}", ("mel", "nv")[i % 2]) for i in range(12)])
    listing = list_source(source)
    assert all(record.source_path.startswith("Images/") for record in listing.records) and len(listing.records) == 12
    assert {item.reason for item in listing.quarantined} == {"no photograph: two-valued, as a mask is"}


def test_masks_beside_photographs_are_counted_and_never_prepared(tmp_path, write_image):
    source = tmp_path / "src"
    for i in range(12):
        folder = source / ("Melanoma", "NotMelanoma")[i % 2]
        write_image(folder / f"{i}.jpg")
        write_image(folder / f"{i}_superpixels.png")
        disc().save(folder / f"{i}-outline.png")
    write_image(source / "Melanoma" / ".ipynb_checkpoints" / "0-checkpoint.jpg")
    facts = prepare("own", source, data_dir=tmp_path / "data", workers=1).facts
    assert (facts.files, facts.images, facts.quarantined) == (37, 12, 25)


def test_files_left_out_by_rule_still_count_for_the_fingerprint(tmp_path, write_image):
    """A dataset that was prepared before there were such rules is still known as one of its source."""
    for name in ("Melanoma/a.png", "NotMelanoma/b.png", "Melanoma/.hidden.png"):
        write_image(tmp_path / name)
    before = list_source(tmp_path).fingerprint
    (tmp_path / "Melanoma" / ".hidden.png").unlink()
    assert list_source(tmp_path).fingerprint != before
