"""Bubbles in the gel between skin and dermatoscope: thin rings, lighter or darker than what lies in and around them."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mole_jax.artefacts.image import Image224

Plane = Float[np.ndarray, "side side"]

LARGER = 1.5  # times, in which rings of a few pixels are looked for
RADII = range(4, 21)  # pixels of the enlarged image, 2.7 to 13.3 of the given one
DIRECTIONS = 12  # in which a ring is looked at from its middle
ANGLES = 2 * np.pi * np.arange(DIRECTIONS) / DIRECTIONS
ACROSS = 2  # pixels from a line to what it is compared with, on either side
ABOUT = 49  # pixels: the side of the square whose lines are the measure of a line
FULL = 4  # times that measure, at which a line counts in full
LEAST = 0.004  # of that measure, where there are no lines, of 1


def ringlike(image: Image224) -> float:
    """How much of a ring the place shows that shows most of one: 0 to 1.

    A ring is a thin line at one distance from a point in all directions. A line is lighter, or darker, than what lies
    on both of its sides, which edges and spots are not; it counts by how much it exceeds the lines about it, of which
    pigment network and cracked skin have many. In red, in which glass and gel are seen as well as in the other colours,
    pigment and vessels less. The numbers are ours (RESULTS.md has what it finds).
    """
    red = image[..., 0].astype(np.float32) / 255
    red = np.asarray(cv2.resize(red, None, fx=LARGER, fy=LARGER, interpolation=cv2.INTER_CUBIC))
    red = np.asarray(cv2.GaussianBlur(red, (0, 0), 0.7))
    light, dark = [], []
    for angle in ANGLES[: DIRECTIONS // 2]:  # a line is the same from both of its sides
        sides = [_moved(red, ACROSS * sign * np.cos(angle), ACROSS * sign * np.sin(angle)) for sign in (1, -1)]
        light.append(np.maximum(red - np.maximum(*sides), 0))
        dark.append(np.maximum(np.minimum(*sides) - red, 0))
    full = FULL * (cv2.blur(np.mean(light + dark, axis=0), (ABOUT, ABOUT)) + LEAST)
    return max(_best([np.minimum(line / full, 1) for line in lines]) for lines in (light, dark))


def _best(lines: list[Plane]) -> float:
    """The largest mean of lines around a point, over points and radii, from the lines across each direction."""
    side, edge = len(lines[0]), max(RADII)
    lines = [np.pad(line, edge) for line in lines]
    best = 0.0
    for radius in RADII:
        total = np.zeros((side, side), np.float32)
        for k, angle in enumerate(ANGLES):
            top, left = edge + round(radius * np.sin(angle)), edge + round(radius * np.cos(angle))
            total += lines[k % len(lines)][top : top + side, left : left + side]
        best = max(best, float(total.max()) / DIRECTIONS)
    return best


def _moved(image: Plane, right: float, down: float) -> Plane:
    """Gives each pixel what lies so far to its right and below it, mirrored at the edges."""
    shift = np.array([[1, 0, -right], [0, 1, -down]], np.float32)
    size = image.shape[::-1]
    return np.asarray(cv2.warpAffine(image, shift, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))


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
