"""Each change at fixed numbers against scipy, Pillow, OpenCV or colorsys; draws within their strengths, one each."""

import colorsys

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image, ImageEnhance
from scipy import ndimage

from mole_jax.augmentation import Augmentation, parse
from mole_jax.inputs.augment import augmented, augmented_pairs, draw, position, turned_back
from mole_jax.inputs.color import Color, recolored
from mole_jax.inputs.geometry import Affine, resample
from mole_jax.inputs.hide import blurred, cut_out
from mole_jax.inputs.mix import mixed, mixed_patches, mixed_up

SIDE = 24
IMAGE = ndimage.gaussian_filter(np.random.default_rng(0).uniform(0, 255, (SIDE, SIDE, 3)), (1, 1, 0)).astype(np.float32)
BYTES = np.random.default_rng(1).integers(0, 256, (6, SIDE, SIDE, 3)).astype(np.uint8)
NONE = Color(*(jnp.float32(value) for value in (1, 1, 1, 0)))
TURN = np.deg2rad(33)
MATRICES = {
    "as it is": (np.eye(2), (0, 0)),
    "moved": (np.eye(2), (3.25, -7.5)),
    "turned": ([[np.cos(TURN), -np.sin(TURN)], [np.sin(TURN), np.cos(TURN)]], (0, 0)),
    "turned by a quarter": ([[0, -1], [1, 0]], (0, 0)),
    "sheared, enlarged and moved": ([[0.6, 0.3], [-0.1, 0.7]], (2.5, 4.0)),
    "far beyond the edge": ([[3.0, 0.5], [0.2, -3.0]], (100.0, -60.0)),
}


@pytest.mark.parametrize("name", MATRICES)
def test_resampling_is_scipy_s_and_opencv_s(name):
    matrix, offset = (np.asarray(part, np.float32) for part in MATRICES[name])
    affine = Affine(jnp.asarray(matrix), jnp.asarray(offset))
    ours = np.asarray(jax.jit(resample, static_argnums=2)(jnp.asarray(IMAGE), affine, SIDE))
    swapped = matrix[::-1, ::-1].astype(np.float64)  # scipy has rows before columns
    middle = np.full(2, (SIDE - 1) / 2)
    start = middle + offset[::-1] - swapped @ middle
    theirs = np.stack(
        [ndimage.affine_transform(IMAGE[..., i], swapped, start, order=1, mode="mirror") for i in range(3)], axis=-1
    )
    np.testing.assert_allclose(ours, theirs, atol=2e-2)
    whole = np.hstack([matrix, (middle + offset - matrix @ middle)[:, None]])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    opencv = cv2.warpAffine(IMAGE, whole, (SIDE, SIDE), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    np.testing.assert_allclose(ours, opencv, atol=3, err_msg="OpenCV's places are rounded to a 32nd of a pixel")


@pytest.mark.parametrize("size", [9, 16, SIDE])
def test_another_size_is_opencv_s(size):
    as_it_is = Affine(jnp.eye(2), jnp.zeros(2))
    ours = resample(jnp.asarray(IMAGE), as_it_is, size)
    theirs = cv2.resize(IMAGE, (size, size), interpolation=cv2.INTER_LINEAR)
    np.testing.assert_allclose(ours, theirs, atol=0.05)


def test_training_sees_images_at_the_size_that_is_asked_for():
    changed = augmented(jnp.asarray(BYTES), Augmentation(size=16, cutout=0.2, blur=1), jax.random.key(0))
    assert changed.shape == (len(BYTES), 16, 16, 3)


@pytest.mark.parametrize(
    ("name", "enhancer"),
    [("brightness", ImageEnhance.Brightness), ("contrast", ImageEnhance.Contrast), ("saturation", ImageEnhance.Color)],
)
@pytest.mark.parametrize("factor", [0.4, 1.0, 1.7])
def test_colours_are_pillow_s(name, enhancer, factor):
    ours = recolored(jnp.asarray(BYTES[0], jnp.float32), NONE._replace(**{name: jnp.float32(factor)}))
    theirs = np.asarray(enhancer(Image.fromarray(BYTES[0])).enhance(factor), np.float32)
    np.testing.assert_allclose(ours, theirs, atol=1.6)  # Pillow rounds down, and its greys first


def test_a_hue_turns_by_its_angle_and_keeps_the_grey():
    muted = 100 + BYTES[0].astype(np.float32) / 5  # nothing is clipped
    turned = recolored(jnp.asarray(muted), NONE._replace(hue=jnp.float32(0.25)))
    before, after = (
        np.array([colorsys.rgb_to_yiq(*pixel) for pixel in np.asarray(image, np.float64).reshape(-1, 3)])
        for image in (muted, turned)
    )
    np.testing.assert_allclose(after[:, 0], before[:, 0], atol=0.5)
    # A quarter turn: I becomes Q, and Q becomes -I; colorsys rounds its coefficients to two digits.
    np.testing.assert_allclose(after[:, 1:], np.stack([-before[:, 2], before[:, 1]], axis=1), atol=0.8)


def test_all_colours_at_once_are_one_after_the_other():
    muted = jnp.asarray(100 + BYTES[0] / 10, jnp.float32)
    color = Color(*(jnp.float32(value) for value in (1.1, 0.8, 1.3, 0.05)))
    by_one = muted
    for name in Color._fields:
        by_one = recolored(by_one, NONE._replace(**{name: getattr(color, name)}))
    np.testing.assert_allclose(recolored(muted, color), by_one, atol=1e-2)


@pytest.mark.parametrize("deviation", [0.0, 0.5, 1.3])
def test_the_blur_is_scipy_s(deviation):
    ours = blurred(jnp.asarray(IMAGE), jnp.float32(deviation), most=1.3)
    theirs = IMAGE
    if deviation:
        theirs = ndimage.gaussian_filter(IMAGE, (deviation, deviation, 0), mode="mirror", radius=(4, 4, 0))
    np.testing.assert_allclose(ours, theirs, atol=1e-2)


def test_a_square_is_hidden_by_the_mean_colour():
    hidden = np.asarray(cut_out(jnp.asarray(IMAGE), jnp.asarray([12, 1]), share=0.25))
    expected = IMAGE.copy()
    expected[10:15, 0:4] = IMAGE.mean(axis=(0, 1))
    np.testing.assert_allclose(hidden, expected, rtol=1e-4)


def test_mixing_by_hand():
    images, targets = jnp.asarray(BYTES), jnp.asarray([0.0, 1, 1, 0, 0, 1])
    share = jnp.asarray([0.0, 0.25, 0.5, 0.6, 0.9, 1.0])
    before = np.roll(BYTES, 1, axis=0).astype(np.float64)
    of_image = np.asarray(share).reshape(-1, 1, 1, 1)
    values, labels = mixed_up(images, targets, share)
    np.testing.assert_allclose(values, of_image * BYTES + (1 - of_image) * before, atol=0.51)
    np.testing.assert_allclose(labels, [1, 0.25, 1, 0.4, 0, 1], atol=1e-6)
    place = jnp.full((6, 2), 0.5).at[3].set(0.0)
    patched, labels = mixed_patches(images, targets, jnp.full(6, 0.75), place)
    expected = BYTES.copy()
    for i in range(6):
        patch = np.s_[0:6, 0:6] if i == 3 else np.s_[6:18, 6:18]
        expected[i][patch] = before[i][patch]
    np.testing.assert_array_equal(patched, expected)
    np.testing.assert_allclose(labels, [0.25, 0.75, 1, 36 / 576, 0, 0.75], atol=1e-6)
    several = jnp.stack([targets, 1 - targets], axis=1)
    for mixed_targets in (mixed_up(images, several, share)[1], mixed_patches(images, several, share, place)[1]):
        np.testing.assert_allclose(mixed_targets.sum(axis=1), 1, rtol=1e-6)
    np.testing.assert_allclose(mixed_up(images, several, share)[1][:, 0], [1, 0.25, 1, 0.4, 0, 1], atol=1e-6)
    for augment in (Augmentation(mixup=0.4), Augmentation(cutmix=1.0)):
        drawn, labels = jax.jit(lambda x, y, augment=augment: mixed(x, y, augment, jax.random.key(0)))(images, targets)
        assert not np.array_equal(drawn, images)
        assert 0 < float(labels.min()) + float(labels.max()) < 2


def draws_of(text, count):
    """As many images' draws."""
    return jax.jit(jax.vmap(lambda key: draw(parse(text), SIDE, key)))(jax.random.split(jax.random.key(0), count))


def test_draws_stay_within_their_strengths_and_reach_them():
    draws = draws_of("rotate=30 shift=.1 color=.3 blur=1.5", 2000)
    angles = np.rad2deg(np.arctan2(draws.affine.matrix[:, 1, 0], draws.affine.matrix[:, 0, 0]))
    np.testing.assert_allclose(np.linalg.det(draws.affine.matrix), 1, rtol=1e-4)
    moved = np.linalg.solve(np.asarray(draws.affine.matrix), np.asarray(draws.affine.offset)[..., None])[..., 0]
    for values, most in [
        (angles, 30),
        (moved / SIDE, 0.1),
        (draws.color.brightness - 1, 0.3),
        (draws.color.contrast - 1, 0.3),
        (draws.color.saturation - 1, 0.3),
        (draws.color.hue, 0.1),
        (2 * draws.deviation - 1.5, 1.5),
    ]:
        assert 0.99 * most < np.max(values) < 1.01 * most
        assert 0.99 * most < -np.min(values) < 1.01 * most


def test_a_crop_shows_a_part_and_nothing_beyond_the_image():
    draws = draws_of("crop=.3", 2000)
    sides = np.asarray(draws.affine.matrix)[:, [0, 1], [0, 1]]
    areas = sides.prod(axis=1)
    assert 0.29 < areas.min() < 0.32
    assert 0.95 < areas.max() <= 1
    assert ((np.abs(draws.affine.offset) / SIDE + sides / 2).max(axis=0) <= 0.5 + 1e-5).all()
    ratios = sides[:, 0] / sides[:, 1]
    assert 3 / 4 - 1e-3 < ratios.min() < 0.8
    assert 1.25 < ratios.max() < 4 / 3 + 1e-3


def test_with_free_turns_the_eight_positions_are_drawn_too():
    draws = draws_of("dihedral rotate=1", 800)
    nearest = np.round(np.asarray(draws.affine.matrix)).astype(int).reshape(-1, 4)
    positions, counts = np.unique(nearest, axis=0, return_counts=True)
    assert len(positions) == 8
    assert counts.min() > 60


def test_each_image_has_a_draw_of_its_own_that_depends_on_key_and_place_alone():
    how, same = parse("strong"), jnp.asarray(np.broadcast_to(BYTES[0], BYTES.shape))
    change = jax.jit(lambda images, key: augmented(images, how, key))
    once = np.asarray(change(same, jax.random.key(0)))
    assert len({image.tobytes() for image in once}) == len(BYTES)
    np.testing.assert_array_equal(once, change(same, jax.random.key(0)))
    assert not np.array_equal(once, change(same, jax.random.key(1)))
    among_others = jnp.asarray(BYTES).at[2].set(same[2])
    np.testing.assert_array_equal(once[2], change(among_others, jax.random.key(0))[2])


def test_nothing_is_changed_where_nothing_is_asked_for():
    np.testing.assert_array_equal(augmented(jnp.asarray(BYTES), parse("none"), jax.random.key(0)), BYTES)


WORDS = ["dihedral", "rotate=180 shift=.1 zoom=.2", "dihedral rotate=90 crop=.5 color=.3 hue=.05 blur=1", "cutout=.3"]


@pytest.mark.parametrize("words", WORDS)
def test_a_mask_is_moved_as_its_image_and_nothing_else(words):
    """An image that is its own mask: after changes of place alone both still agree."""
    how = parse(words)
    mask = np.zeros((6, SIDE, SIDE, 1), np.uint8)
    mask[:, 4:15, 6:12] = 255
    pairs = jnp.asarray(np.concatenate([np.repeat(mask, 3, axis=-1), mask], axis=-1))
    key = jax.random.key(5)
    moved = np.asarray(jax.jit(lambda pairs: augmented_pairs(pairs, how, key))(pairs))
    assert set(np.unique(moved[..., 3])) <= {0, 255}
    places = Augmentation(**{name: getattr(how, name) for name in ("dihedral", "rotate", "shift", "zoom", "crop")})
    if places == how:
        np.testing.assert_array_equal(moved[..., 0] >= 128, moved[..., 3] == 255)
    # The image of the pair is what the image alone would be.
    alone = np.asarray(jax.jit(lambda images: augmented(images, how, key))(pairs[..., :3]))
    assert np.abs(moved[..., :3].astype(int) - alone).max() <= 1
    if not how.moves and not how.dihedral:
        np.testing.assert_array_equal(moved[..., 3:], mask)


@pytest.mark.parametrize("which", range(8))
def test_maps_of_a_position_are_turned_back(which):
    turned = np.asarray(position(jnp.asarray(BYTES), which))
    np.testing.assert_array_equal(turned_back(turned, which), BYTES)
    np.testing.assert_array_equal(turned_back(turned[..., 0], which), BYTES[..., 0])
