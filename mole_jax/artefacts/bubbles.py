"""Bubbles in the gel between skin and dermatoscope: rings, lighter on one side."""

import cv2
import numpy as np
from jaxtyping import UInt8

from mole_jax.artefacts.image import Image224

LARGER = 2  # times, in which rings of a few pixels are looked for


def rings(image: Image224) -> int:
    """How many rings of 2.5 to 15 pixels Hough's transform finds; pores, vessels and network make rings too."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    large = cv2.resize(grey, None, fx=LARGER, fy=LARGER, interpolation=cv2.INTER_CUBIC)
    found = cv2.HoughCircles(
        cv2.GaussianBlur(large, (0, 0), 1),
        cv2.HOUGH_GRADIENT_ALT,
        1.5,
        12,
        param1=60,
        param2=0.85,
        minRadius=5,
        maxRadius=30,
    )
    return 0 if found is None else int(found.shape[1])


def with_bubbles(image: Image224, rng: np.random.Generator) -> UInt8[np.ndarray, "224 224 3"]:
    """The image with five to twelve rings, each with a spark."""
    side = len(image)
    light, dark = np.zeros((side, side), np.uint8), np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(5, 13))):
        x, y = (int(place) for place in rng.integers(5, side - 5, 2))
        radius = int(rng.integers(3, 10))
        cv2.circle(dark, (x, y), radius, 130, 1, cv2.LINE_AA)
        cv2.ellipse(light, (x, y), (radius - 1, radius - 1), int(rng.integers(360)), 0, 110, 200, 1, cv2.LINE_AA)
    shaded = image * (1 - 0.5 * dark[..., None] / 255)
    return np.round(shaded + (255 - shaded) * 0.8 * light[..., None] / 255).clip(0, 255).astype(np.uint8)
