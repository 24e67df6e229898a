"""Dark corners: the edge of the dermatoscope's round field of view."""

import numpy as np
from jaxtyping import Float, UInt8

from mole_jax.artefacts.image import Image224

LEGS = 16  # of the triangle in a corner that is looked at, in pixels


def darkness(image: Image224) -> float:
    """How much darker the corners are than the image: the mean over the four of 1 - their median over the image's.

    0 where they are as light as the image, 1 where they are black.
    """
    grey = image.astype(np.float32).mean(axis=-1)
    of_corners = [np.median(corner[np.triu_indices(LEGS)]) for corner in _corners(grey)]
    return float(1 - np.mean(of_corners) / max(1.0, float(np.median(grey))))


def _corners(grey: Float[np.ndarray, "side side"]) -> list[Float[np.ndarray, "legs legs"]]:
    """The squares in the corners, each mirrored so that its triangle towards the corner is the upper right one."""
    squares = (grey[::rows, ::columns][:LEGS, :LEGS] for rows in (1, -1) for columns in (1, -1))
    return [square[:, ::-1] for square in squares]


def with_dark_corners(image: Image224, rng: np.random.Generator) -> UInt8[np.ndarray, "224 224 3"]:
    """The image through a round field of view, a little larger than the image is wide and not quite in its middle."""
    side = len(image)
    middle = (side - 1) / 2 + rng.uniform(-0.03, 0.03, 2) * side
    rows, columns = np.mgrid[:side, :side]
    from_middle = np.hypot(rows - middle[0], columns - middle[1])
    seen = 1 / (1 + np.exp((from_middle - rng.uniform(0.54, 0.6) * side) / 2))
    return np.round(image * (0.06 + 0.94 * seen[..., None])).astype(np.uint8)
