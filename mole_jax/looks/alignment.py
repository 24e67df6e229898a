"""Lays one image over another, turned, mirrored, shifted, zoomed and sheared as needed, and compares their pixels."""

from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, Float, Float32, Int, UInt8

from mole_jax.looks.fingerprints import DESCRIPTOR_SCALE, SIDE, Fingerprint

# Largest share of the distance to the second nearest descriptor (Lowe, IJCV 60 (2004) 91: .8, larger pictures).
RATIO: Final = 0.85
# Unrelated lesions reach 10 keypoints in place; copies have at least 13 (10,015 images and 7,790 copies, at .9).
MIN_IN_PLACE: Final = 6
IN_PLACE: Final = 2.0  # pixels
RANSAC_ROUNDS: Final = 300
REFINEMENTS: Final = 15
MAX_ZOOM: Final = 2.5
MAX_STRETCH: Final = 1.6  # of the longer over the shorter side of a turned square
# The centre of the picture: the corners of a turned copy are smeared, not photographed.
RADIUS: Final = 49.0  # pixels
MIN_OVERLAP: Final = 0.1  # of the picture
# Blurs in pixels. Noise is finer than FINE. Pictures are aligned by all that is finer than WIDE, which works from
# further off, and judged by what is finer than COARSE, so that the blob that every mole is does not count.
FINE: Final = 0.5
COARSE: Final = 2.0
WIDE: Final = 4.0
SMOOTH: Final = 1.0  # pixels, before grey levels are compared
# Over how many pixels details are brought to one strength, so that a small dark mole on smooth skin, whose outline is
# all that there is, does not agree with every other; and which strength is noise.
EVENED_OVER: Final = 6.0  # pixels
NOISE: Final = 2.0  # grey levels, squared

# What SIFT's 4 x 4 x 8 gradient histogram becomes in a mirror: rows upside down, directions the other way round.
MIRROR: Final = np.arange(128).reshape(4, 4, 8)[::-1][:, :, -np.arange(8) % 8].ravel()

_y, _x = np.mgrid[:SIDE, :SIDE].astype(np.float32)
_CENTRE: Final = (SIDE - 1) / 2
_DISC: Final = np.hypot(_x - _CENTRE, _y - _CENTRE) < RADIUS


class Alignment(NamedTuple):
    """How well two images agree once one lies over the other.

    Attributes:
        similarity: correlation of their details where they overlap, -1..1.
        agreement: the same of details that are brought to one strength everywhere, -1..1.
        difference: mean absolute difference of their grey levels there, 0..255.
        overlap: the share of the picture that was compared, 0..1.
        matrix: affine map from a pixel of the first image (x, y, 1) to the second, in pixels of `Fingerprint.grey`.
    """

    similarity: float
    agreement: float
    difference: float
    overlap: float
    matrix: Float32[np.ndarray, "2 3"]


def align(first: Fingerprint, second: Fingerprint) -> Alignment | None:
    """Compares two images; None if nothing says that they show the same."""
    rough = _by_keypoints(first, second)
    if rough is None:
        return None
    return _compare(first, second, _refine(first, second, rough))


def _by_keypoints(first: Fingerprint, second: Fingerprint) -> Float[np.ndarray, "2 3"] | None:
    """The affine map that brings the most keypoints into place, seen directly or in a mirror; None: too few."""
    best, most = None, MIN_IN_PLACE - 1
    if min(len(first.points), len(second.points)) < MIN_IN_PLACE:
        return None
    seen, mirrored = _unit(first.descriptors), _unit(first.descriptors[:, MIRROR])
    others = _unit(second.descriptors)
    for descriptors in (seen, mirrored):
        here, there = _matches(descriptors, others)
        if len(here) <= most:
            continue
        matrix, in_place = cv2.estimateAffine2D(
            first.points[here], second.points[there], ransacReprojThreshold=IN_PLACE, maxIters=RANSAC_ROUNDS
        )
        if matrix is not None and in_place.sum() > most and _plausible(matrix):
            best, most = matrix, int(in_place.sum())
    return best


def _matches(
    first: Float32[np.ndarray, "k 128"], second: Float32[np.ndarray, "l 128"]
) -> tuple[Int[np.ndarray, " m"], Int[np.ndarray, " m"]]:
    """Keypoints of the first whose nearest descriptor in the second is much nearer than the next, and which that is."""
    cosine = first @ second.T
    rows = np.arange(len(cosine))
    nearest = cosine.argmax(axis=1)
    best = cosine[rows, nearest]
    cosine[rows, nearest] = -1
    clear = np.flatnonzero(1 - best < RATIO**2 * (1 - cosine.max(axis=1)))
    return clear, nearest[clear]


def _unit(descriptors: UInt8[np.ndarray, "k 128"]) -> Float32[np.ndarray, "k 128"]:
    return descriptors.astype(np.float32) / DESCRIPTOR_SCALE


def _plausible(matrix: Float[np.ndarray, "2 3"]) -> bool:
    long, short = np.linalg.svd(matrix[:, :2], compute_uv=False)
    return bool(short * MAX_ZOOM > 1 and long < MAX_ZOOM and long < MAX_STRETCH * short)


def _refine(first: Fingerprint, second: Fingerprint, matrix: Float[np.ndarray, "2 3"]) -> Float32[np.ndarray, "2 3"]:
    """The map that correlates the pixels best (Evangelidis & Psarakis, TPAMI 30 (2008) 1858), from a rough one."""
    rough = matrix.astype(np.float32)
    criteria = (cv2.TERM_CRITERIA_COUNT | cv2.TERM_CRITERIA_EPS, REFINEMENTS, 1e-4)
    mask = _DISC.astype(np.uint8)
    try:
        _, refined = cv2.findTransformECC(
            _details(first, WIDE), _details(second, WIDE), rough.copy(), cv2.MOTION_AFFINE, criteria, mask, 1
        )
    except cv2.error:  # it did not converge, as happens with pictures that are unlike
        return rough
    return refined


def _compare(first: Fingerprint, second: Fingerprint, matrix: Float32[np.ndarray, "2 3"]) -> Alignment | None:
    inside = _DISC & _in_disc(matrix)
    overlap = float(inside.mean())
    if overlap < MIN_OVERLAP:
        return None
    details = [_details(one, COARSE) for one in (first, second)]
    similarity = _correlation(details[0][inside], _laid_over(details[1], matrix)[inside])
    agreement = _correlation(_evened(details[0])[inside], _laid_over(_evened(details[1]), matrix)[inside])
    smooth = [cv2.GaussianBlur(one.grey.astype(np.float32), (0, 0), SMOOTH) for one in (first, second)]
    difference = float(np.abs(smooth[0] - _laid_over(smooth[1], matrix))[inside].mean())
    return Alignment(similarity, agreement, difference, overlap, matrix)


def _in_disc(matrix: Float32[np.ndarray, "2 3"]) -> Bool[np.ndarray, "112 112"]:
    x = matrix[0, 0] * _x + matrix[0, 1] * _y + matrix[0, 2]
    y = matrix[1, 0] * _x + matrix[1, 1] * _y + matrix[1, 2]
    return np.hypot(x - _CENTRE, y - _CENTRE) < RADIUS


def _details(one: Fingerprint, coarse: float) -> Float32[np.ndarray, "112 112"]:
    grey = one.grey.astype(np.float32)
    return cv2.GaussianBlur(grey, (0, 0), FINE) - cv2.GaussianBlur(grey, (0, 0), coarse)


def _evened(details: Float32[np.ndarray, "112 112"]) -> Float32[np.ndarray, "112 112"]:
    return details / np.sqrt(cv2.GaussianBlur(details**2, (0, 0), EVENED_OVER) + np.float32(NOISE))


def _laid_over(
    picture: Float32[np.ndarray, "112 112"], matrix: Float32[np.ndarray, "2 3"]
) -> Float32[np.ndarray, "112 112"]:
    return cv2.warpAffine(picture, matrix, (SIDE, SIDE), flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP)


def _correlation(a: Float32[np.ndarray, " n"], b: Float32[np.ndarray, " n"]) -> float:
    a, b = a - a.mean(), b - b.mean()
    return float(a @ b / max(float(np.sqrt((a @ a) * (b @ b))), 1e-9))
