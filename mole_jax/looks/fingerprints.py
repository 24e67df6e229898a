"""What the search for near duplicates keeps of an image: colours to find candidates by, details and pixels to check."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

from mole_jax.looks.threads import threaded_map

SIDE: Final = 112  # pixels; half of what the models see
KEYPOINTS: Final = 80
# A thirteenth of OpenCV's default: many moles are smooth, and a useless keypoint costs nothing but time.
CONTRAST: Final = 0.003
# The joint histogram of L*, a* and b* in OpenCV's 8 bits; the ranges hold every colour of skin.
COLOUR_SIDE: Final = 56
COLOUR_BINS: Final = (12, 10, 10)
COLOUR_RANGES: Final = (0, 256, 100, 180, 100, 180)
# The square root of a share of a gradient histogram is mostly below .5, so this fills a byte.
DESCRIPTOR_SCALE: Final = 512


class Fingerprint(NamedTuple):
    """What is kept of one image, about 28 kB.

    Attributes:
        colours: square roots of the colour histogram (Hellinger), unit length; turning and mirroring change little.
        points: where the keypoints lie, x and y in pixels of `grey`.
        descriptors: their RootSIFT descriptors (Arandjelovic & Zisserman, CVPR 2012) times DESCRIPTOR_SCALE.
        grey: the image in grey at half its size, 0..255.
    """

    colours: Float32[np.ndarray, "1200"]
    points: Float32[np.ndarray, "k 2"]
    descriptors: UInt8[np.ndarray, "k 128"]
    grey: UInt8[np.ndarray, "112 112"]


@dataclass(frozen=True)
class Fingerprints:
    """The fingerprints of a set of images."""

    members: list[Fingerprint]

    def __len__(self) -> int:
        return len(self.members)

    @property
    def colours(self) -> Float32[np.ndarray, "n 1200"]:
        """All colour histograms."""
        return np.stack([member.colours for member in self.members])


def fingerprints(images: Iterable[UInt8[np.ndarray, "224 224 3"]]) -> Fingerprints:
    """The fingerprints of images, on all cores, a few images in memory at a time."""
    return Fingerprints(list(threaded_map(fingerprint, images)))


def fingerprint(image: UInt8[np.ndarray, "224 224 3"]) -> Fingerprint:
    """The fingerprint of one image."""
    grey = cv2.resize(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    sift = cv2.SIFT.create(nfeatures=KEYPOINTS, contrastThreshold=CONTRAST)
    keypoints, descriptors = sift.detectAndCompute(grey, None)
    points = np.array([point.pt for point in keypoints[:KEYPOINTS]], np.float32).reshape(-1, 2)
    return Fingerprint(_colours(image), points, _root(descriptors, len(points)), grey)


def _colours(image: UInt8[np.ndarray, "224 224 3"]) -> Float32[np.ndarray, "1200"]:
    small = cv2.resize(image, (COLOUR_SIDE, COLOUR_SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(small, cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([lab], [0, 1, 2], None, list(COLOUR_BINS), list(COLOUR_RANGES)).ravel()
    return np.sqrt(counts / max(counts.sum(), 1)).astype(np.float32)


def _root(descriptors: Float32[np.ndarray, "m 128"] | None, count: int) -> UInt8[np.ndarray, "k 128"]:
    if descriptors is None:  # a picture of one colour has no keypoints
        return np.zeros((0, 128), np.uint8)
    shares = descriptors[:count] / np.maximum(descriptors[:count].sum(axis=1, keepdims=True), 1e-9)
    return np.minimum(np.rint(DESCRIPTOR_SCALE * np.sqrt(shares)), 255).astype(np.uint8)
