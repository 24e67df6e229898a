import dataclasses

import numpy as np
import pytest
from sklearn.datasets import load_sample_images

from mole_jax.looks.alignment import MIRROR, align
from mole_jax.looks.candidates import NEIGHBOURS
from mole_jax.looks.fingerprints import fingerprint, fingerprints
from mole_jax.looks.near_duplicates import Pair, near_duplicates
from tests.audit.conftest import turned

TURNS = {
    "nothing": {},
    "quarter": {"rotation": 90},
    "any angle": {"rotation": 33},
    "mirrored": {"flip": (False, True)},
    "upside down and turned": {"rotation": -140, "flip": (True, False)},
    "shifted": {"shift": (20, -15)},
    "larger": {"zoom": (0.8, 0.8)},
    "smaller": {"zoom": (1.2, 1.2)},
    "stretched": {"zoom": (0.9, 1.1), "rotation": 60, "shift": (-18, 9), "flip": (True, True)},
}


@pytest.mark.parametrize("turn", TURNS.values(), ids=TURNS)
def test_a_copy_is_found_however_it_is_turned(drawn, turn):
    copies = fingerprints([turned(drawn[3], **turn), turned(drawn[10], **turn)])
    pairs = near_duplicates(copies, fingerprints(drawn))
    assert [(pair.query, pair.reference) for pair in pairs] == [(0, 3), (1, 10)]
    assert all(pair.copy for pair in pairs), pairs


def test_another_light_hides_nothing(drawn):
    """As with another white balance: the colours of other lesions are nearer, the details are the same."""
    warmer = np.clip(turned(drawn[7], rotation=40) * [1.15, 0.95, 0.85], 0, 255).astype(np.uint8)
    query, among = fingerprints([warmer]), fingerprints(drawn)
    likeness = (query.colours @ among.colours.T)[0]
    assert (likeness > likeness[7]).sum() >= NEIGHBOURS, "else this says nothing"
    assert [(pair.reference, pair.copy) for pair in near_duplicates(query, among)] == [(7, False)]


def test_different_lesions_are_no_pairs(drawn):
    assert near_duplicates(fingerprints(drawn)) == []


def test_each_pair_within_a_set_is_found_once(drawn):
    images = [drawn[0], drawn[1], turned(drawn[0], rotation=50), drawn[2]]
    assert [(pair.query, pair.reference, pair.copy) for pair in near_duplicates(fingerprints(images))] == [(0, 2, True)]


def test_another_photograph_is_no_copy(drawn):
    """Brighter and with other noise: the same to look at, but not made from the same file."""
    noise = np.random.default_rng(0).normal(18, 3, drawn[7].shape)
    again = np.clip(turned(drawn[7], rotation=20).astype(float) + noise, 0, 255).astype(np.uint8)
    (pair,) = near_duplicates(fingerprints([again]), fingerprints([drawn[7], drawn[8]]))
    assert pair.reference == 0
    assert pair.difference > 5
    assert not pair.copy


def test_the_map_is_the_one_that_made_the_copy():
    """Against the transformation that the copy was made by, on a photograph that is no lesion."""
    china = load_sample_images().images[0][100:324, 200:424]
    alignment = align(fingerprint(china), fingerprint(turned(china, rotation=30, zoom=(0.9, 0.9))))
    assert alignment is not None
    # The copy's content is turned by 30 degrees and 1 / .9 times as large; the middle stays (pixels of 112 x 112).
    c, s = np.cos(np.deg2rad(30)) / 0.9, np.sin(np.deg2rad(30)) / 0.9
    np.testing.assert_allclose(np.abs(alignment.matrix[:, :2]), [[c, s], [s, c]], atol=0.01)
    np.testing.assert_allclose(alignment.matrix @ [55.5, 55.5, 1], [55.5, 55.5], atol=0.3)
    assert alignment.difference < 2


def test_the_mirrored_descriptor_is_that_of_the_mirrored_image(drawn):
    first, second = fingerprint(drawn[6]), fingerprint(np.ascontiguousarray(drawn[6][:, ::-1]))
    distance = np.hypot(*(first.points[:, None] * [-1, 1] + [111, 0] - second.points[None]).transpose(2, 0, 1))
    nearest = distance.argmin(axis=1)
    same = distance.min(axis=1) < 0.6  # OpenCV places keypoints by half a pixel to one side
    assert same.mean() > 0.5
    mirrored = first.descriptors[:, MIRROR].astype(int)[same] - second.descriptors[nearest[same]]
    assert np.median(np.abs(mirrored).max(axis=1)) <= 16
    plain = first.descriptors.astype(int)[same] - second.descriptors[nearest[same]]
    assert np.median(np.abs(plain).max(axis=1)) > 50


@pytest.mark.parametrize("value", [0, 128])
def test_pictures_of_one_colour_have_nothing_to_compare(value):
    blank = np.full((224, 224, 3), value, np.uint8)
    assert near_duplicates(fingerprints([blank, blank])) == []


def test_few_images_are_no_error(drawn):
    one = fingerprints(drawn[:1])
    assert near_duplicates(one) == near_duplicates(fingerprints([])) == near_duplicates(one, fingerprints([])) == []


def test_a_copy_must_be_alike_in_details_and_in_brightness():
    pair = Pair(0, 1, similarity=0.9, difference=1.0)
    assert pair.copy
    assert not dataclasses.replace(pair, similarity=0.8).copy
    assert not dataclasses.replace(pair, difference=2.0).copy


def test_the_order_of_the_images_decides_nothing(drawn):
    images = [*drawn[:6], *(turned(image, rotation=25 + 20 * i) for i, image in enumerate(drawn[:6]))]
    order = np.random.default_rng(0).permutation(len(images)).tolist()

    def pairs(of):
        found = near_duplicates(fingerprints([images[i] for i in of]))
        return {(*sorted((of[p.query], of[p.reference])), p.similarity, p.difference) for p in found}

    assert pairs(order) == pairs(list(range(len(images))))
    assert len(pairs(order)) == 6
