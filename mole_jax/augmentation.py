"""What `--augment` says: the random changes that training images go through, and how strong each is. Numbers only."""

import dataclasses
import re
from dataclasses import dataclass
from typing import Any, Final

from mole_jax.errors import UserError


def _strength(low: float, high: float, help: str, none: float = 0.0) -> Any:
    return dataclasses.field(default=none, metadata={"low": low, "high": high, "help": help})


@dataclass(frozen=True)
class Augmentation:
    """The strength of each change; at its default a change does nothing."""

    dihedral: bool = dataclasses.field(default=False, metadata={"help": "flips and quarter turns"})
    rotate: float = _strength(0, 180, "degrees, to either side")
    shift: float = _strength(0, 1, "share of the side, in each direction")
    crop: float = _strength(0.05, 1, "the smallest share of the area that is shown, its sides 3:4 to 4:3", 1.0)
    zoom: float = _strength(0, 1, "larger or smaller by up to that share")
    shear: float = _strength(0, 45, "degrees, to either side")
    brightness: float = _strength(0, 1, "times 1 - that to 1 + that")
    contrast: float = _strength(0, 1, "likewise, of the distance from the image's mean grey")
    saturation: float = _strength(0, 1, "likewise, of the distance from each pixel's grey")
    hue: float = _strength(0, 0.5, "turns of the colour circle, to either side")
    blur: float = _strength(0, 5, "the largest deviation of a Gaussian, in pixels")
    cutout: float = _strength(0, 0.9, "side of a square that is hidden, as a share of the image's")
    mixup: float = _strength(0, 10, "both numbers of the Beta distribution of two images' shares")
    cutmix: float = _strength(0, 10, "likewise, of the area that another image's patch leaves")
    # Images are prepared at 224x224 pixels; more than that would be made up.
    size: float = _strength(32, 224, "pixels a side at which training sees the image")

    @property
    def moves(self) -> bool:
        """Whether pixels change their places, other than by flips and quarter turns."""
        return self.rotate + self.shift + self.zoom + self.shear + self.size > 0 or self.crop < 1

    @property
    def colors(self) -> bool:
        """Whether colours change."""
        return self.brightness + self.contrast + self.saturation + self.hue > 0


FIELDS: Final = {field.name: field for field in dataclasses.fields(Augmentation)}
# "pham" has the kinds of change of Pham et al. 2018 (doi:10.1007/978-3-319-75420-8_54): moved, cropped, turned,
# blurred, flipped. Brightness, contrast and saturation of "strong" are those of Perez et al. 2018 (arXiv:1809.01442,
# scenario B); the hue of a tenth of a turn of their scenario C makes some skin violet. The other strengths are ours.
PRESETS: Final = {
    "none": "",
    "pham": "dihedral rotate=180 shift=.1 crop=.8 blur=1",
    "strong": "dihedral rotate=180 shift=.05 crop=.5 shear=10 color=.3 hue=.03 blur=1 cutout=.2",
}


def parse(text: str) -> Augmentation:
    """Reads words such as "none", "strong", "dihedral color=.2" or "rotate=180+crop=.6"; the last of a kind counts.

    `color=C` is brightness, contrast and saturation C and a hue of C / 3, as Perez et al. have them.

    Raises:
        UserError: an unknown word, a strength that is none, or both ways to mix two images.
    """
    values: dict[str, Any] = {}
    for word in _words(text, text):
        name, _, number = word.partition("=")
        if name == "color":
            strength = _number(name, number, 0, 1, text)
            values |= dict.fromkeys(("brightness", "contrast", "saturation"), strength) | {"hue": strength / 3}
        elif name == "dihedral":
            if number:
                raise UserError(f"augment={text!r}: dihedral takes no strength; give the word alone")
            values[name] = True
        else:
            about = FIELDS[name].metadata
            values[name] = _number(name, number, about["low"], about["high"], text)
    found = Augmentation(**values)
    if found.size % 1:
        raise UserError(f"augment={text!r}: size={found.size:g} is not a whole number of pixels")
    if found.mixup and found.cutmix:
        raise UserError(f"augment={text!r} mixes images in two ways; give mixup or cutmix")
    return found


def _words(part: str, text: str) -> list[str]:
    """The words, those of a preset in its place."""
    words = []
    for word in re.split(r"[\s+]+", part.strip()):
        name = word.partition("=")[0]
        if word in PRESETS:
            words += _words(PRESETS[word], text) if PRESETS[word] else []
        elif name in FIELDS or name == "color":
            words.append(word)
        else:
            raise UserError(
                f"augment={text!r}: {word!r} is no change to an image; give {', '.join(PRESETS)}, dihedral, or "
                f"NAME=STRENGTH of color, {', '.join(name for name in FIELDS if name != 'dihedral')}"
            )
    return words


def _number(name: str, number: str, low: float, high: float, text: str) -> float:
    try:
        value = float(number)
    except ValueError:
        raise UserError(
            f"augment={text!r}: {name} needs a strength from {low:g} to {high:g}, such as {name}={high:g}"
        ) from None
    if not low <= value <= high:
        raise UserError(f"augment={text!r}: {name}={number} is not from {low:g} to {high:g}")
    return value
