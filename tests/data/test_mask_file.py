"""Masks as people have them: what is read, what is refused, and how each comes to the size of its image."""

import io

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mole_jax.data.image_file import UnusableImageError, mask_to_model_size, to_model_size
from mole_jax.data.mask_file import load_mask

DISC = (np.mgrid[:60, :80][0] - 30) ** 2 + (np.mgrid[:60, :80][1] - 40) ** 2 <= 20**2


@pytest.fixture
def write(tmp_path):
    def write(pixels, name="mask.png", mode=None):
        Image.fromarray(pixels, mode).save(tmp_path / name)
        return tmp_path / name

    return write


def loaded(path):
    return load_mask(path, width=80, height=60)


@pytest.mark.parametrize("value", [1, 2, 128, 255])
def test_whatever_is_not_0_is_lesion_where_there_are_two_values(write, value):
    np.testing.assert_array_equal(loaded(write(DISC.astype(np.uint8) * value)), DISC)


def test_one_bit_colour_palette_and_16_bits_are_read(write, tmp_path):
    np.testing.assert_array_equal(loaded(write(DISC)), DISC)
    red = np.zeros((60, 80, 3), np.uint8)
    red[DISC] = (255, 0, 0)
    np.testing.assert_array_equal(loaded(write(red)), DISC)
    Image.fromarray(red).quantize(2).save(tmp_path / "palette.png")
    np.testing.assert_array_equal(loaded(tmp_path / "palette.png"), DISC)
    np.testing.assert_array_equal(loaded(write(DISC.astype(np.uint16) * 65535)), DISC)


def test_edges_that_jpeg_or_resizing_made_grey_are_cut_in_the_middle(write):
    mask = loaded(write(DISC.astype(np.uint8) * 255, "mask.jpg"))
    assert (mask != DISC).mean() < 0.002
    smooth = ndimage.gaussian_filter(DISC * 255.0, 1)
    np.testing.assert_array_equal(loaded(write(np.rint(smooth).astype(np.uint8))), np.rint(smooth) >= 128)


def test_a_lesion_may_fill_the_image(write):
    assert loaded(write(np.full((60, 80), 255, np.uint8))).all()


@pytest.mark.parametrize(
    ("pixels", "why"),
    [
        (np.zeros((60, 80), np.uint8), "its mask is empty"),
        (np.ones((60, 80), np.uint8), "its mask is not two-valued: its values are 1"),
        (np.arange(4800, dtype=np.uint16).reshape(60, 80).astype(np.uint8) % 3, "two-valued: its values are 0, 1, 2"),
        (np.full((60, 80), 128, np.uint8), "not two-valued: 100% of its pixels are neither black nor white"),
        (np.full((80, 60), 255, np.uint8), "its mask has 60x80 pixels and the image 80x60"),
        (np.full((30, 40), 255, np.uint8), "its mask has 40x30 pixels and the image 80x60"),
    ],
)
def test_what_is_no_mask_is_refused(write, pixels, why):
    with pytest.raises(UnusableImageError, match=why.replace("(", r"\(")):
        loaded(write(pixels))


def test_a_file_that_is_no_picture_is_refused(tmp_path):
    path = tmp_path / "mask.png"
    path.write_bytes(b"no picture")
    with pytest.raises(UnusableImageError, match="its mask: not an image"):
        loaded(path)
    with pytest.raises(UnusableImageError, match="its mask cannot be read: No such file"):
        loaded(tmp_path / "none.png")


@pytest.mark.parametrize("size", [(224, 224), (600, 450), (450, 600), (80, 60), (301, 500)])
def test_a_mask_is_cropped_and_resized_as_its_image_is(size):
    width, height = size
    rows, columns = np.mgrid[:height, :width]
    mask = (rows - height * 0.4) ** 2 + (columns - width * 0.55) ** 2 <= (0.3 * min(size)) ** 2
    picture = Image.fromarray(np.repeat(mask[..., None], 3, axis=-1).astype(np.uint8) * 255)
    np.testing.assert_array_equal(mask_to_model_size(mask), to_model_size(picture)[..., 0] >= 128)


def test_a_block_that_is_half_lesion_is_lesion():
    mask = np.zeros((450, 600), bool)
    mask[:, ::2] = True
    assert mask_to_model_size(mask).all()


def test_pngs_of_masks_are_what_pillow_reads():
    content = io.BytesIO()
    Image.fromarray(DISC).save(content, "PNG")
    assert (np.asarray(Image.open(content)) == DISC).all()
