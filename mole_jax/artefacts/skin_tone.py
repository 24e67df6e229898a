"""The tone of the skin around a lesion: its individual typology angle, as an image shows it.

The angle is of colours measured on skin; a dermoscopic photograph has its light, filter, polarisation and white balance
in them. So it orders the images of one source roughly and says little of a person. On drawn skins an exposure that is
off by up to 10 % with a white balance off by up to 3 % moves the angle by 3 degrees (standard deviation) and one image
in seven to another group (`tests/artefacts/test_skin_tone.py`).
"""

from dataclasses import dataclass
from typing import Final

import cv2
import numpy as np
from jaxtyping import Bool, Shaped

from mole_jax.artefacts.hair import hair_mask
from mole_jax.artefacts.image import Image224, lab_of

# From the lightest: (angle above which, in degrees, name). Source: Del Bino and Bernerd 2013 (Br J Dermatol 169, suppl.
# 3:33), after Chardon et al. 1991.
GROUPS: Final = (
    (55.0, "very light"),
    (41.0, "light"),
    (28.0, "intermediate"),
    (10.0, "tan"),
    (-30.0, "brown"),
    (-np.inf, "dark"),
)
AROUND: Final = 10  # pixels around the lesion that are not taken for skin
BLOCKS: Final = 8  # a side
FEWEST_PIXELS: Final = 40  # of skin in a block
FEWEST_BLOCKS: Final = 6
DARKEST, LIGHTEST = 15.0, 97.0  # of skin: what is darker is no skin, what is lighter is glare


@dataclass(frozen=True)
class SkinTone:
    """The tone that an image shows.

    Attributes:
        angle: median over the blocks of skin, in degrees; higher is lighter.
        spread: the standard error of that median over blocks, in degrees: uneven light, sun damage, what is no skin.
        group: the angle's, of GROUPS.
    """

    angle: float
    spread: float
    group: str


def skin_tone(image: Image224, lesion: Bool[np.ndarray, "224 224"]) -> SkinTone | None:
    """The tone of the skin beside the lesion; None where too little skin is to be seen.

    Each block's angle is arctan((L* - 50) / b*) of its median colour.

    Args:
        image: any.
        lesion: where it is.
    """
    lab = lab_of(image)
    near = cv2.dilate(lesion.astype(np.uint8), np.ones((2 * AROUND + 1,) * 2, np.uint8)).astype(bool)
    hairs = cv2.dilate(hair_mask(image).astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool)
    skin = ~near & ~hairs & (lab[..., 0] > DARKEST) & (lab[..., 0] < LIGHTEST)
    angles = []
    for rows in np.array_split(np.arange(len(image)), BLOCKS):
        for columns in np.array_split(np.arange(len(image)), BLOCKS):
            block = np.ix_(rows, columns)
            if skin[block].sum() >= FEWEST_PIXELS:
                angles.append(angle_of(np.median(lab[block][skin[block]], axis=0)))
    if len(angles) < FEWEST_BLOCKS:
        return None
    middle = float(np.median(angles))
    # Of a median: 1.2533 times that of a mean, from the median absolute deviation, which outliers do not move.
    deviation = 1.4826 * float(np.median(np.abs(np.array(angles) - middle)))
    return SkinTone(middle, float(1.2533 * deviation / np.sqrt(len(angles))), group_of(middle))


def angle_of(lab: Shaped[np.ndarray, "3"]) -> float:
    """The individual typology angle of a colour, in degrees; of a bluish one as if it were yellowish.

    Without that, the angle of a colour with a negative b* would jump from 90 to -90 degrees.
    """
    return float(np.degrees(np.arctan2(lab[0] - 50, abs(lab[2]))))


def group_of(angle: float) -> str:
    """The name of an angle's group."""
    return next(name for least, name in GROUPS if angle > least)
