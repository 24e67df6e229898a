"""Ink of a surgical marker: violet, blue or green, on the skin beside the lesion."""

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from mole_jax.artefacts.image import Image224, lab_of

# How far ink is from the skin's median, and which colour it has itself, in CIELAB.
AWAY = 16.0
OWN = -4.0
DARKER = 8.0
AROUND = 15  # pixels around the lesion that may be its own colour


def inked(image: Image224, lesion: Bool[np.ndarray, "224 224"]) -> float:
    """The share of the skin that is far bluer or greener, and darker, than the rest of it.

    Args:
        image: any.
        lesion: where it is; blue in or at it is its own.
    """
    skin = ~cv2.dilate(lesion.astype(np.uint8), np.ones((2 * AROUND + 1,) * 2, np.uint8)).astype(bool)
    if not skin.any():
        return 0.0
    lab = lab_of(image)
    lightness, green_red, blue_yellow = np.median(lab[skin], axis=0)
    darker = lab[..., 0] < lightness - DARKER
    bluer = (lab[..., 2] < blue_yellow - AWAY) & (lab[..., 2] < OWN)
    greener = (lab[..., 1] < green_red - AWAY) & (lab[..., 1] < OWN)
    found = ((bluer | greener) & darker & skin).astype(np.uint8)
    found = cv2.morphologyEx(found, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    return float(found.sum() / skin.sum())


def with_ink(image: Image224, rng: np.random.Generator) -> UInt8[np.ndarray, "224 224 3"]:
    """The image with two to four strokes of a violet or blue marker near its edges."""
    side = len(image)
    cover = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(2, 5))):
        angle = rng.uniform(0, 2 * np.pi)
        middle = side / 2 + side * rng.uniform(0.4, 0.5) * np.array([np.cos(angle), np.sin(angle)])
        along = rng.uniform(10, 22) * np.array([-np.sin(angle), np.cos(angle)])
        first, second = (np.round(middle + sign * along).astype(int).tolist() for sign in (-1, 1))
        cv2.line(cover, first, second, 255, int(rng.integers(4, 9)), cv2.LINE_AA)
    covered: Float[np.ndarray, "side side 1"] = cv2.GaussianBlur(cover, (0, 0), 1.2)[..., None] / 255
    colour = np.array([78.0, 44.0, 140.0]) if rng.random() < 0.5 else np.array([40.0, 62.0, 150.0])
    stained = image * (0.35 + 0.65 * colour / 255)  # the skin shows through
    mixed = 0.5 * stained + 0.5 * colour
    return np.round(image * (1 - covered) + mixed * covered).clip(0, 255).astype(np.uint8)
