"""What `--augment` says is read, or refused with what it could say."""

import pytest

from mole_jax.augmentation import PRESETS, Augmentation, parse
from mole_jax.config import RunConfig
from mole_jax.errors import UserError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Augmentation()),
        ("dihedral", Augmentation(dihedral=True)),
        ("rotate=180 crop=.6", Augmentation(rotate=180, crop=0.6)),
        ("rotate=180+crop=.6", Augmentation(rotate=180, crop=0.6)),
        ("pham blur=0", Augmentation(dihedral=True, rotate=180, shift=0.1, crop=0.8)),
        ("color=.3 hue=0", Augmentation(brightness=0.3, contrast=0.3, saturation=0.3)),
    ],
)
def test_it_is_read(text, expected):
    assert parse(text) == expected


def test_a_colour_strength_brings_a_third_of_it_in_hue_and_every_preset_is_sound():
    assert parse("color=.3").hue == pytest.approx(0.1)
    assert not (parse("color=.3").moves or parse("none").moves or parse("dihedral").moves)
    assert parse("strong").moves and parse("strong").colors
    assert all(parse(preset) for preset in PRESETS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "rotat=3",
            "augment='rotat=3': 'rotat=3' is no change to an image; give none, pham, strong, dihedral, or "
            "NAME=STRENGTH of color, rotate, shift, crop,",
        ),
        ("", "augment='': '' is no change to an image"),
        ("pham=2", "augment='pham=2': 'pham=2' is no change to an image"),
        ("rotate", "augment='rotate': rotate needs a strength from 0 to 180, such as rotate=180"),
        ("blur=much", "augment='blur=much': blur needs a strength from 0 to 5"),
        ("dihedral crop=0", "augment='dihedral crop=0': crop=0 is not from 0.05 to 1"),
        ("color=nan", "augment='color=nan': color=nan is not from 0 to 1"),
        ("dihedral=1", "augment='dihedral=1': dihedral takes no strength; give the word alone"),
        ("size=96.5", "augment='size=96.5': size=96.5 is not a whole number of pixels"),
        ("size=96", "augment='size=96': size=96 is for heads on averages, which fit every size; layers of cnn have"),
        ("mixup=.2 cutmix=1", "augment='mixup=.2 cutmix=1' mixes images in two ways; give mixup or cutmix"),
    ],
)
def test_a_mistake_names_the_word_and_what_there_is(text, message):
    with pytest.raises(UserError) as error:
        RunConfig(augment=text)
    assert str(error.value).startswith(message)
