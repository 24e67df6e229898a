"""Maps as people see them, by blocks, and how alike two of them are."""

from typing import Final

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from mole_jax.explain.explained import Maps

BLOCK: Final = 16  # pixels: nobody sees more detail in a map, and single pixels are noise
Blocks = Float[np.ndarray, "n rows columns"]


def blocks(maps: Maps) -> Blocks:
    """The mean of each square of 16 by 16 pixels."""
    n, rows, columns = maps.shape
    return maps.reshape(n, rows // BLOCK, BLOCK, columns // BLOCK, BLOCK).mean(axis=(2, 4))


def rank_correlation(first: Maps, second: Maps) -> Float[np.ndarray, " n"]:
    """Spearman's correlation of the strengths of two maps of each image, over blocks; 0 where one of them is blank, as
    it then says nothing that the other could agree with.

    Strengths are absolute values, so that two maps agree that look at the same places.
    """
    ranks = [rankdata(blocks(np.abs(maps)).reshape(len(maps), -1), axis=1) for maps in (first, second)]
    a, b = (rank - rank.mean(axis=1, keepdims=True) for rank in ranks)
    product = (a * b).sum(axis=1)
    size = np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1))
    return np.divide(product, size, out=np.zeros(len(first)), where=size > 0)


def is_blank(maps: Maps) -> np.ndarray:
    """Which maps are the same everywhere, [n]."""
    return np.ptp(maps, axis=(1, 2)) == 0
