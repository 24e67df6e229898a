"""Dark hairs: thin and long, darker than what they cross."""

import cv2
import numpy as np
from jaxtyping import Bool, Integer, UInt8

from mole_jax.artefacts.image import Image224

LENGTH = 13  # of the lines that a hair is compared with, in pixels
DIRECTIONS = 8
CONTRAST = 17  # how much darker than across it, of 255
SHORTEST = 12  # pixels
THICKEST = 6  # pixels
FULL = 0.2  # share of the square of its extent that a spot fills and a hair does not


def hair_mask(image: Image224) -> Bool[np.ndarray, "224 224"]:
    """Where hairs are.

    A closing by a short line fills whatever is dark and thinner across the line than the line is long. A hair is filled
    by lines across it and not by the one along it, a dark spot by all or none, so their difference shows hairs. What is
    short or thick is none. Source: Lee et al. 1997 (DullRazor, Comput Biol Med 27:533) for closings in several
    directions; the difference and the numbers are ours.
    """
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    filled = np.stack([cv2.morphologyEx(grey, cv2.MORPH_CLOSE, _line(i * 180 / DIRECTIONS)) for i in range(DIRECTIONS)])
    thin = (filled.max(axis=0).astype(np.int16) - filled.min(axis=0) > CONTRAST).astype(np.uint8)
    thick = cv2.dilate(cv2.morphologyEx(thin, cv2.MORPH_OPEN, _disc(THICKEST)), np.ones((3, 3), np.uint8))
    thin[thick > 0] = 0
    _, number, about, _ = cv2.connectedComponentsWithStats(thin, connectivity=8)
    extent = np.hypot(about[:, cv2.CC_STAT_WIDTH], about[:, cv2.CC_STAT_HEIGHT])
    kept = (extent >= SHORTEST) & (about[:, cv2.CC_STAT_AREA] < FULL * extent**2)
    kept[0] = False  # what is no hair
    found: Bool[np.ndarray, "224 224"] = kept[number]
    return found


def hairiness(image: Image224) -> float:
    """The length of all hairs over the image's side, roughly: their pixels over a width of two."""
    return float(hair_mask(image).sum() / 2 / len(image))


def without_hair(image: Image224) -> UInt8[np.ndarray, "224 224 3"]:
    """The image with its hairs painted over from beside them (Telea 2004, as OpenCV has it)."""
    mask = cv2.dilate(hair_mask(image).astype(np.uint8), np.ones((3, 3), np.uint8))
    return np.asarray(cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA), np.uint8)


def with_hair(image: Image224, rng: np.random.Generator) -> UInt8[np.ndarray, "224 224 3"]:
    """The image under five to fifteen curved dark hairs, from edge to edge or not."""
    side = len(image)
    shade = np.zeros((side, side), np.uint8)
    for _ in range(int(rng.integers(5, 16))):
        start, bend, end = rng.uniform(-0.1, 1.1, (3, 2)) * side
        t = np.linspace(0, 1, 40)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * (start + end + bend) / 3 + t**2 * end
        points: Integer[np.ndarray, "40 2"] = np.round(curve).astype(np.int32)
        cv2.polylines(shade, [points], False, int(rng.integers(170, 256)), int(rng.integers(1, 3)), cv2.LINE_AA)
    covered = shade[..., None] / 255
    colour = np.array([52, 36, 30]) * rng.uniform(0.5, 1.3)
    return np.round(image * (1 - covered) + colour * covered).clip(0, 255).astype(np.uint8)


def _disc(size: int) -> UInt8[np.ndarray, "{size} {size}"]:
    return np.asarray(cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (size, size)), np.uint8)


def _line(degrees: float) -> UInt8[np.ndarray, "13 13"]:
    kernel, half = np.zeros((LENGTH, LENGTH), np.uint8), (LENGTH - 1) / 2
    x, y = half * np.cos(np.deg2rad(degrees)), half * np.sin(np.deg2rad(degrees))
    cv2.line(kernel, (round(half - x), round(half - y)), (round(half + x), round(half + y)), 1)
    return kernel
