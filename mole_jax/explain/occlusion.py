"""Occlusion: what the logit loses when a square of the image is hidden."""

from typing import Final

import numpy as np

from mole_jax.explain.explained import Explained, Images, Maps
from mole_jax.explain.gradients import flat

SQUARE: Final = 32  # pixels; 7 by 7 squares that do not overlap


def occlusion(explained: Explained, fed: Images) -> Maps:
    """How much the logit falls when the square that a pixel lies in takes on the image's mean colour; above zero, what
    was hidden spoke for melanoma.

    Source: Zeiler and Fergus 2014, arXiv:1311.2901, section 4.2.
    """
    whole, hidden = explained.logits(fed), flat(fed)
    maps = np.zeros(fed.shape[:3], np.float32)
    for top in range(0, fed.shape[1], SQUARE):
        for left in range(0, fed.shape[2], SQUARE):
            square = np.s_[:, top : top + SQUARE, left : left + SQUARE]
            without = fed.copy()
            without[square] = hidden[square]
            maps[square] = (whole - explained.logits(without))[:, None, None]
    return maps
