"""Deletion and insertion: does the logit change fastest where a map is strongest?"""

import math
from typing import Final

import numpy as np
from jaxtyping import Float, Int

from mole_jax.evaluation.statistics.intervals import t_quantile
from mole_jax.explain.compare import BLOCK, blocks
from mole_jax.explain.explained import Explained, Images, Maps
from mole_jax.explain.gradients import flat
from mole_jax.runs.explanation import Gain

STEPS: Final = 14
ORDERS: Final = 4  # random ones; they differ from each other far less than images do
Orders = Int[np.ndarray, "n blocks"]
Curves = Float[np.ndarray, "n steps"]


def order_of(maps: Maps) -> Orders:
    """The blocks of each map, the strongest first."""
    return np.argsort(-blocks(maps).reshape(len(maps), -1), axis=1, kind="stable")


def curves(explained: Explained, fed: Images, orders: Orders) -> tuple[Curves, Curves]:
    """The logits while blocks are hidden in an order (deletion), and while they are shown in it (insertion).

    What is hidden has the image's mean colour. Both begin with none and end with all blocks.

    Source: Petsiuk, Das and Saenko 2018, arXiv:1806.07421, section 4.3; logits stand for probabilities, which for a
    melanoma that is missed are flat.
    """
    hidden, count = flat(fed), orders.shape[1]
    rank = np.empty_like(orders)
    np.put_along_axis(rank, orders, np.arange(count)[None].repeat(len(orders), axis=0), axis=1)
    side = fed.shape[1] // BLOCK
    rank = rank.reshape(-1, side, count // side).repeat(BLOCK, axis=1).repeat(BLOCK, axis=2)[..., None]
    done = [round(step * count / STEPS) for step in range(STEPS + 1)]
    deletion = [explained.logits(np.where(rank < many, hidden, fed)) for many in done]
    insertion = [explained.logits(np.where(rank < many, fed, hidden)) for many in done]
    return np.stack(deletion, axis=1), np.stack(insertion, axis=1)


def random_curves(explained: Explained, fed: Images, *, seed: int) -> tuple[Curves, Curves]:
    """The mean curves over random orders, the same ones for each image."""
    random, count = np.random.default_rng(seed), (fed.shape[1] // BLOCK) * (fed.shape[2] // BLOCK)
    drawn = [random.permutation(count)[None].repeat(len(fed), axis=0) for _ in range(ORDERS)]
    deletion, insertion = zip(*(curves(explained, fed, orders) for orders in drawn), strict=True)
    return np.mean(deletion, axis=0), np.mean(insertion, axis=0)


def gain(higher: Curves, lower: Curves, shown: Curves) -> Gain:
    """By how much one kind of curve lies above the other on average, with its interval over images.

    Args:
        higher: curves of each image; in deletion those of random orders, in insertion the map's.
        lower: the others.
        shown: the map's own.
    """
    each = higher.mean(axis=1, dtype=np.float64) - lower.mean(axis=1, dtype=np.float64)
    mean = float(each.mean())
    half = t_quantile(len(each) - 1) * float(each.std(ddof=1)) / math.sqrt(len(each))
    return Gain(mean, mean - half, mean + half, tuple(shown.mean(axis=0).tolist()))
