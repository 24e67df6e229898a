"""The typology angle of drawn skins of known tone, and what light does to it."""

import numpy as np
import pytest
from drawn_skins import LESION, relit, rgb_of, skin_of

from mole_jax.artefacts.corners import with_dark_corners
from mole_jax.artefacts.hair import with_hair
from mole_jax.artefacts.image import lab_of
from mole_jax.artefacts.skin_tone import angle_of, group_of, skin_tone


def test_lab_is_the_textbook_s():
    lab = np.array([62.0, 14.0, 18.0])
    image = np.broadcast_to(np.round(rgb_of(lab)), (224, 224, 3)).astype(np.uint8)
    np.testing.assert_allclose(lab_of(image)[0, 0], lab, atol=0.5)  # of rounding to bytes


@pytest.mark.parametrize(
    ("angle", "group"),
    [(-40, "dark"), (-20, "brown"), (0, "brown"), (20, "tan"), (35, "intermediate"), (48, "light"), (60, "very light")],
)
def test_a_drawn_skin_has_its_angle_whatever_lies_on_it(angle, group):
    rng = np.random.default_rng(0)
    plain = skin_of(angle, rng=rng)
    for image in (plain, with_hair(plain, rng), with_dark_corners(plain, rng)):
        tone = skin_tone(image, LESION)
        assert tone.angle == pytest.approx(angle, abs=2.5)
        assert tone.group == group
        assert tone.spread < 2


def test_uneven_skin_has_the_larger_spread():
    rng = np.random.default_rng(1)
    even = skin_of(35, rng=rng)
    uneven = even * np.linspace(0.75, 1, 224)[None, :, None]
    assert skin_tone(uneven.astype(np.uint8), LESION).spread > 5 * skin_tone(even, LESION).spread


def test_without_skin_there_is_no_tone():
    assert skin_tone(skin_of(35), np.ones((224, 224), bool)) is None
    assert skin_tone(np.zeros((224, 224, 3), np.uint8), LESION) is None


def test_light_within_reason_changes_the_group_of_one_image_in_seven():
    rng = np.random.default_rng(0)
    changed, moved = [], []
    for angle in rng.uniform(-45, 62, 20):
        image = skin_of(angle, rng=rng)
        base = skin_tone(image, LESION)
        for _ in range(3):
            light = {"exposure": rng.uniform(0.9, 1.1), "balance": rng.uniform(0.97, 1.03, 3)}
            other = skin_tone(relit(image, **light), LESION)
            changed.append(other.group != base.group)
            moved.append(other.angle - base.angle)
    assert 0.02 < np.mean(changed) < 0.25
    assert 2 < np.std(moved) < 4.5


def test_groups_begin_where_the_literature_has_them():
    assert [group_of(angle) for angle in (55.1, 55, 41, 28, 10, -30)] == [
        *("very light", "light", "intermediate", "tan", "brown", "dark")
    ]
    assert angle_of(np.array([60.0, 0.0, 10.0])) == pytest.approx(45)
    assert angle_of(np.array([60.0, 0.0, -10.0])) == pytest.approx(45)
