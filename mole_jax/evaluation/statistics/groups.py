"""Which images belong to one lesion, and drawing lesions with replacement within each class."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer, Shaped

STRATA = ("negative", "positive", "mixed")


@dataclass(frozen=True)
class Groups:
    """The lesions of a set of images."""

    index: Integer[np.ndarray, " n"]  # each image's lesion, 0..g-1, in the sorted order of their ids
    stratum: Integer[np.ndarray, " g"]  # by the lesion's images: 0 none positive, 1 all positive, 2 some

    @property
    def count(self) -> int:
        """How many lesions."""
        return len(self.stratum)

    @property
    def single(self) -> bool:
        """Whether every lesion has one image, so that images are independent draws."""
        return self.count == len(self.index)

    @property
    def resamplable(self) -> bool:
        """Whether every stratum that is there has two lesions at least; one alone would always be drawn."""
        sizes = np.bincount(self.stratum)
        return bool((sizes[sizes > 0] >= 2).all())


def group_images(group: Shaped[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> Groups:
    """Numbers the lesions and tells each one's class.

    Args:
        group: each image's lesion id.
        label: 0 or 1.
    """
    names, index = np.unique(group, return_inverse=True)
    images = np.bincount(index, minlength=len(names))
    positives = np.bincount(index, weights=label, minlength=len(names))
    return Groups(index, np.where(positives == 0, 0, np.where(positives == images, 1, 2)))


def draw_weights(groups: Groups, *, resamples: int, seed: int, at_a_time: int) -> Iterator[Float[np.ndarray, "g r"]]:
    """Draws lesions with replacement, as many of each stratum as there are: how often each lesion was drawn.

    Each stratum has a random stream of its own, so the draws depend on the seed and the lesions alone, not on
    `at_a_time`; two files over the same lesions get the same draws, which is what makes their comparison paired.

    Args:
        groups: the lesions.
        resamples: how many times.
        seed: of the draws.
        at_a_time: resamples yielded in one piece, to bound memory.
    """
    streams = [np.random.default_rng([seed, stratum]) for stratum in range(len(STRATA))]
    members = [np.flatnonzero(groups.stratum == stratum) for stratum in range(len(STRATA))]
    for start in range(0, resamples, at_a_time):
        r = min(at_a_time, resamples - start)
        weights = np.zeros((groups.count, r))
        for stream, lesions in zip(streams, members, strict=True):
            m = len(lesions)
            if m:
                drawn = stream.integers(m, size=(r, m)) + m * np.arange(r)[:, None]
                weights[lesions] = np.bincount(drawn.ravel(), minlength=r * m).reshape(r, m).T
        yield weights
