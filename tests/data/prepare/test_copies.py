import numpy as np
import pytest

from mole_jax import workers
from mole_jax.data.prepare.copies import Affine, apply_affine, draw_affine, make_copies
from mole_jax.data.prepare.scratch import read_row, write_row
from mole_jax.data.records import Example

STILL = Affine(rotation=0.0, shift=(0.0, 0.0), zoom=(1.0, 1.0), flip=(False, False))


def noise(side, *, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (side, side, 3), np.uint8)


@pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning")  # Keras' own import
@pytest.mark.parametrize("copy", range(1, 7))
def test_a_copy_is_what_keras_makes(copy):
    from keras.src.legacy.preprocessing import image as keras

    pixels, affine = noise(224), draw_affine(0, "ISIC_0024306", copy)
    expected = keras.apply_affine_transform(
        pixels.astype(np.float64),
        theta=-affine.rotation,  # Keras has x before y, so that its angles turn the other way
        tx=affine.shift[1],
        ty=affine.shift[0],
        zx=affine.zoom[1],
        zy=affine.zoom[0],
        row_axis=0,
        col_axis=1,
        channel_axis=2,
        fill_mode="nearest",
        order=1,
    )
    for axis, flip in enumerate(affine.flip):
        expected = keras.flip_axis(expected, axis) if flip else expected
    assert np.abs(apply_affine(pixels, affine) - expected).max() <= 0.5 + 1e-4, "rounded to whole values"


def test_simple_transformations_by_hand():
    pixels = noise(5)
    np.testing.assert_array_equal(apply_affine(pixels, STILL), pixels)
    np.testing.assert_array_equal(apply_affine(pixels, STILL._replace(flip=(True, False))), pixels[::-1])
    np.testing.assert_array_equal(apply_affine(pixels, STILL._replace(flip=(False, True))), pixels[:, ::-1])
    np.testing.assert_array_equal(apply_affine(pixels, STILL._replace(rotation=90.0)), np.rot90(pixels, -1))
    shifted = apply_affine(pixels, STILL._replace(shift=(1.0, 0.0)))
    np.testing.assert_array_equal(shifted, pixels[[1, 2, 3, 4, 4]])
    # Between two rows lies their mean; 2 of 4 rows are seen, the centre stays: rows 0.75, 1.25, 1.75, 2.25.
    ramp = np.repeat(np.arange(0, 160, 40, dtype=np.uint8), 4 * 3).reshape(4, 4, 3)
    assert apply_affine(ramp, STILL._replace(zoom=(0.5, 1.0)))[:, 0, 0].tolist() == [30, 50, 70, 90]


def test_transformations_fill_their_ranges_evenly():
    drawn = [draw_affine(0, f"ISIC_{i % 50}", i // 50) for i in range(4000)]
    for values, low, high in (
        ([a.rotation for a in drawn], -180, 180),
        ([a.shift[0] for a in drawn], -22.4, 22.4),
        ([a.shift[1] for a in drawn], -22.4, 22.4),
        ([a.zoom[0] for a in drawn], 0.9, 1.1),
        ([a.zoom[1] for a in drawn], 0.9, 1.1),
    ):
        assert low <= min(values) and max(values) <= high
        counts, _ = np.histogram(values, bins=10, range=(low, high))
        assert np.abs(counts - 400).max() < 5 * np.sqrt(400 * 0.9)
    assert np.isclose(np.mean([a.flip for a in drawn]), 0.5, atol=0.03)
    assert (
        np.abs(np.corrcoef([[a.rotation, *a.shift, *a.zoom, *a.flip] for a in drawn], rowvar=False) - np.eye(7)).max()
        < 0.08
    )


def test_the_transformation_of_a_copy_never_changes():
    affine = draw_affine(0, "ISIC_0024306", 1)
    assert affine == draw_affine(0, "ISIC_0024306", 1)
    # The first four-byte words of sha256("0/copy/ISIC_0024306/1"), little-endian, over 2**32.
    unit = np.array([0.43338338821, 0.0196788765, 0.82871426642, 0.21056918008, 0.74366338132])
    scale, start = np.array([180, 22.4, 22.4, 0.1, 0.1]), np.array([0, 0, 0, 1, 1])
    found = [affine.rotation, *affine.shift, *affine.zoom]
    np.testing.assert_allclose(found, start + scale * (2 * unit - 1), rtol=1e-7)
    assert affine.flip == (False, True), "words .819 and .194"
    others = [draw_affine(1, "ISIC_0024306", 1), draw_affine(0, "ISIC_0024307", 1), draw_affine(0, "ISIC_0024306", 2)]
    assert len({affine, *others}) == 4


def test_the_pixels_depend_on_the_original_and_the_number_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_POOL", 0)
    results = []
    for count, workers_ in ((3, 1), (2, 2)):
        scratch = tmp_path / f"scratch{count}"
        scratch.write_bytes(b"")
        for row in range(2):
            write_row(scratch, row, noise(224, seed=row))
        originals = [
            Example(f"{row}.jpg", f"o{row}", 1, f"L{row}", sha256="x", width=600, height=450, row=row) for row in (0, 1)
        ]
        planned = [
            originals[row].as_copy(copy, f"AUG_0_{row}{copy}") for row, copy in ((0, 1), (1, 1), (1, 2))[3 - count :]
        ]
        made = make_copies(planned, scratch, 2, seed=0, workers=workers_)
        assert [copy.row for copy in made] == list(range(2, 2 + count))
        results.append(
            {(c.augmented_from, c.copy): (c.sha256, c.image_id, read_row(scratch, c.row).tobytes()) for c in made}
        )
        assert all((c.width, c.height, c.lesion_id) == (224, 224, f"L{c.augmented_from[1]}") for c in made)
        for row in range(2):
            np.testing.assert_array_equal(read_row(scratch, row), noise(224, seed=row))
    assert len({sha for sha, *_ in results[0].values()}) == 3
    assert results[1].items() <= results[0].items()
