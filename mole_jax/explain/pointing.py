"""Where maps lie, where the lesions are known."""

import numpy as np
from jaxtyping import Bool

from mole_jax.explain.compare import blocks
from mole_jax.explain.explained import Maps
from mole_jax.runs.explanation import Pointing

Masks = Bool[np.ndarray, "n side side"]


def pointing(maps: Maps, masks: Masks) -> Pointing:
    """The pointing game (Zhang et al. 2016, arXiv:1608.00507, section 4.1), by blocks: the strongest block of a map
    counts as a hit where at least half of it lies in the lesion. And the share of the map that lies in the lesion
    (Wang et al. 2020, arXiv:1910.01279, "energy-based pointing game"), of what speaks for melanoma; a map that says
    nothing for it has no share in it.

    Args:
        maps: of n images.
        masks: where the lesion is in each.
    """
    strongest = blocks(maps).reshape(len(maps), -1).argmax(axis=1)
    covered = blocks(masks.astype(np.float32)).reshape(len(masks), -1)
    hits = covered[np.arange(len(maps)), strongest] >= 0.5
    speaking = np.maximum(maps, 0).astype(np.float64)
    whole, inside = speaking.sum(axis=(1, 2)), (speaking * masks).sum(axis=(1, 2))
    share = np.divide(inside, whole, out=np.zeros(len(maps)), where=whole > 0)
    return Pointing(float(hits.mean()), float(share.mean()))


def centre_hits(masks: Masks) -> float:
    """The share of images whose middle lies in the lesion: what a map that always points there would score."""
    return float(masks[:, masks.shape[1] // 2, masks.shape[2] // 2].mean())
