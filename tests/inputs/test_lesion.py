"""What `--preprocess` does to an image, against scipy, Pillow and by hand."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from mole_jax.inputs.lesion import BLUR, WORDS, preprocessed

SIDE = 56
IMAGE = (
    ndimage.gaussian_filter(np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE, 3)), (2, 2, 0)) * 4 % 256
).astype(np.uint8)
ROWS, COLUMNS = np.mgrid[:SIDE, :SIDE]
DISC = (ROWS - 30) ** 2 + (COLUMNS - 22) ** 2 <= 12**2  # 25 rows and columns


def done(how, mask=DISC, image=IMAGE):
    changed = jax.jit(preprocessed, static_argnums=2)(image, mask, how)
    assert changed.dtype == jnp.uint8
    return np.asarray(changed)


@pytest.mark.parametrize("how", ["background_blur", "kmeans_blur"])
def test_the_skin_is_blurred_as_scipy_does_and_the_lesion_is_not(how):
    theirs = ndimage.gaussian_filter(IMAGE.astype(np.float64), (SIDE * BLUR, SIDE * BLUR, 0), mode="mirror", truncate=3)
    ours = done(how)
    np.testing.assert_array_equal(ours[DISC], IMAGE[DISC])
    np.testing.assert_allclose(ours[~DISC], theirs[~DISC], atol=0.501, err_msg="but for rounding")


def test_the_skin_is_black():
    ours = done("lesion_only")
    np.testing.assert_array_equal(ours[DISC], IMAGE[DISC])
    assert not ours[~DISC].any()


def test_the_lesion_is_black():
    ours = done("lesion_masked_out")
    np.testing.assert_array_equal(ours[~DISC], IMAGE[~DISC])
    assert not ours[DISC].any()


def test_the_box_around_the_lesion_is_black():
    ours, expected = done("border_only"), IMAGE.copy()
    expected[18:43, 10:35] = 0
    np.testing.assert_array_equal(ours, expected)


def test_the_box_of_two_parts_holds_both():
    mask = np.zeros((SIDE, SIDE), bool)
    mask[5, 7] = mask[20, 30] = True
    expected = IMAGE.copy()
    expected[5:21, 7:31] = 0
    np.testing.assert_array_equal(done("border_only", mask), expected)


@pytest.mark.parametrize(
    ("lesion", "box"),
    [
        # left, top, right and bottom of the square: a tenth more than the longer side on each side
        (np.s_[18:43, 10:35], (7.5, 15.5, 37.5, 45.5)),
        (np.s_[18:28, 10:35], (7.5, 8.0, 37.5, 38.0)),
        (np.s_[30:32, 20:22], (14.0, 24.0, 28.0, 38.0)),  # a quarter of the image, at least
        (np.s_[0:20, 36:56], (32.0, 0.0, 56.0, 24.0)),  # within the image
        (np.s_[2:54, 0:56], (0.0, 0.0, 56.0, 56.0)),  # and no larger than it
    ],
)
def test_the_lesion_is_cut_out_as_pillow_does(lesion, box):
    mask = np.zeros((SIDE, SIDE), bool)
    mask[lesion] = True
    theirs = np.asarray(Image.fromarray(IMAGE).resize((SIDE, SIDE), Image.Resampling.BILINEAR, box=box)).astype(int)
    ours = done("lesion_crop", mask).astype(int)
    inside = np.s_[4:-4, 4:-4] if 0 in box or SIDE in box else np.s_[:, :]  # at its edge Pillow repeats, ours mirrors
    np.testing.assert_allclose(ours[inside], theirs[inside], atol=1)


@pytest.mark.parametrize("how", WORDS)
def test_without_a_lesion_an_image_stays_as_it_is(how):
    np.testing.assert_array_equal(done(how, np.zeros_like(DISC)), IMAGE)


def test_where_all_is_lesion_nothing_is_blurred_and_nothing_is_left_of_it():
    whole = np.ones_like(DISC)
    for how in ("background_blur", "lesion_only", "lesion_crop"):
        np.testing.assert_array_equal(done(how, whole), IMAGE)
    for how in ("lesion_masked_out", "border_only"):
        assert not done(how, whole).any()
