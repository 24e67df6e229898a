"""Rulers: dark ticks side by side, all at the same distance."""

import cv2
import numpy as np
from jaxtyping import Float, UInt8

from mole_jax.artefacts.image import Image224

WIDEST = 5  # tick, in pixels
SHORTEST = 4  # tick, in pixels
BAND = 10  # height in which ticks are looked for
WINDOW = 112  # length of the shortest ruler
SHIFT = 28  # from one window to the next
PERIODS = range(4, 24)  # distances of two ticks
REPEATS = 3  # in which a tick must come again
NOISE = 0.3  # variance, of 255 squared, below which nothing is a tick


def regularity(image: Image224) -> float:
    """How regularly dark ticks follow each other in the most regular band along a row or a column: 0 to about 1.

    Of each band the autocorrelation at one, two and three times a distance, the smallest of them, less that at half the
    distance; the largest over all distances.
    """
    darkest = image.min(axis=-1).astype(np.float32)
    return max(_regularity(darkest), _regularity(np.ascontiguousarray(darkest.T)))


def _regularity(darkest: Float[np.ndarray, "side side"]) -> float:
    ticks = cv2.morphologyEx(darkest, cv2.MORPH_CLOSE, np.ones((1, WIDEST), np.uint8)) - darkest
    ticks = cv2.erode(ticks, np.ones((SHORTEST, 1), np.uint8))
    bands = cv2.blur(ticks, (1, BAND))[BAND // 2 :: BAND // 3]
    best = 0.0
    for start in range(0, len(darkest) - WINDOW + 1, SHIFT):
        alike = _autocorrelation(bands[:, start : start + WINDOW])
        for period in PERIODS:
            again = [alike[:, i * period - (i > 1) : i * period + 2].max(axis=1) for i in range(1, REPEATS + 1)]
            between = alike[:, period // 2 : (period + 1) // 2 + 1].min(axis=1)
            best = max(best, float((np.min(again, axis=0) - np.maximum(between, 0)).max()))
    return best


def _autocorrelation(rows: Float[np.ndarray, "bands window"]) -> Float[np.ndarray, "bands window"]:
    rows = rows - rows.mean(axis=1, keepdims=True)
    power = np.abs(np.fft.rfft(rows, 2 * WINDOW, axis=1)) ** 2
    found = np.fft.irfft(power, 2 * WINDOW, axis=1)[:, :WINDOW]
    overlap = (WINDOW - np.arange(WINDOW)) / WINDOW
    return np.asarray(found / ((rows**2).sum(axis=1, keepdims=True) + NOISE * WINDOW) / overlap[None], np.float64)


def with_ruler(image: Image224, rng: np.random.Generator) -> UInt8[np.ndarray, "224 224 3"]:
    """The image with a scale along one of its edges: a line, ticks, each fifth of them longer."""
    side, period = len(image), int(rng.integers(6, 15))
    cover = np.zeros((side, side), np.uint8)
    inset, start = int(rng.integers(12, 30)), int(rng.integers(8, 24))
    for i, x in enumerate(range(start, side - start, period)):
        cv2.line(cover, (x, inset), (x, inset + (12 if i % 5 == 0 else 7)), 255, 1)
    cv2.line(cover, (start, inset), (side - start, inset), 255, 1)
    cover = np.rot90(cover, int(rng.integers(4)))
    covered = 0.85 * cover[..., None] / 255
    return np.round(image * (1 - covered) + 35 * covered).astype(np.uint8)
