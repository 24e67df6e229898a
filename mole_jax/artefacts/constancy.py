"""Colour constancy: an image as if under white light, by an assumption about its colours."""

import numpy as np
from jaxtyping import UInt8

from mole_jax.artefacts.image import Image224

SHADES: float = 6.0  # found best by Finlayson and Trezzi 2004


def grey_world(image: Image224) -> UInt8[np.ndarray, "224 224 3"]:
    """Each channel scaled so that all have the same mean. Source: Buchsbaum 1980."""
    return shades_of_grey(image, 1.0)


def shades_of_grey(image: Image224, power: float = SHADES) -> UInt8[np.ndarray, "224 224 3"]:
    """Each channel scaled so that all have the same Minkowski mean; on bytes, as dermoscopy's challenges had it.

    Source: Finlayson and Trezzi 2004 (Color Imaging Conference 12:37).
    """
    values = image.astype(np.float64)
    means = (values**power).mean(axis=(0, 1)) ** (1 / power)
    if not means.all():
        return image
    return np.round(values * (means.mean() / means)).clip(0, 255).astype(np.uint8)
