"""How well masks agree with those of experts: Jaccard and Dice an image, their means with intervals."""

from typing import Final, NamedTuple, TypedDict

import numpy as np
from jaxtyping import Bool, Float, Shaped

from mole_jax.evaluation.statistics.groups import Groups, draw_weights
from mole_jax.evaluation.statistics.intervals import FEWEST_BOOTSTRAP, Estimate, bootstrapped, point

# Below it an image counts as 0 in the ISIC 2018 challenge's own score (Codella et al. 2019, arXiv:1902.03368, 3.1).
CHALLENGE_LEAST: Final = 0.65
RESAMPLES: Final = 2000


class Agreement(NamedTuple):
    """Of two masks of one image, 0 to 1.

    Attributes:
        jaccard: pixels in both over pixels in either; 1 where both are empty.
        dice: twice the pixels in both over those of each; 1 where both are empty.
    """

    jaccard: float
    dice: float


class MaskFigures(TypedDict):
    """Means over the images of a split."""

    images: int
    groups: int
    jaccard: Estimate
    dice: Estimate
    challenge: Estimate  # the Jaccard, 0 where it is below CHALLENGE_LEAST
    empty: int  # masks that find no lesion


def agreement(found: Bool[np.ndarray, "height width"], truth: Bool[np.ndarray, "height width"]) -> Agreement:
    """Jaccard and Dice of a mask that was found and the true one."""
    both, either = int((found & truth).sum()), int((found | truth).sum())
    if not either:
        return Agreement(1.0, 1.0)
    return Agreement(both / either, 2 * both / (both + either))


def mask_figures(
    agreements: list[Agreement],
    group: Shaped[np.ndarray, " n"],
    *,
    empty: int,
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> MaskFigures:
    """The means of a split, with 95 % intervals by drawing whole groups.

    Args:
        agreements: of each image.
        group: of each image, the lesion that it shows.
        empty: how many of the masks found no lesion.
        seed: of the draws.
        resamples: how many.
    """
    jaccard, dice = (np.array(values) for values in zip(*agreements, strict=True))
    challenge = np.where(jaccard < CHALLENGE_LEAST, 0.0, jaccard)
    names, index = np.unique(group, return_inverse=True)
    groups = Groups(index, np.full(len(names), 2))  # a mean over images: no group is of one class or the other
    return {
        "images": len(jaccard),
        "groups": groups.count,
        "jaccard": _mean(jaccard, groups, seed, resamples),
        "dice": _mean(dice, groups, seed, resamples),
        "challenge": _mean(challenge, groups, seed, resamples),
        "empty": empty,
    }


def _mean(values: Float[np.ndarray, " n"], groups: Groups, seed: int, resamples: int) -> Estimate:
    value = float(values.mean())
    if groups.count < FEWEST_BOOTSTRAP:
        return point(value, reason=f"{groups.count} lesions; an interval needs {FEWEST_BOOTSTRAP}")
    sums, sizes = groups.sums(values), groups.sums(np.ones(len(values)))
    drawn = draw_weights(groups, resamples=resamples, seed=seed, at_a_time=resamples)
    means = np.concatenate([(sums @ weights) / (sizes @ weights) for weights in drawn])
    return bootstrapped(value, means, groups)
