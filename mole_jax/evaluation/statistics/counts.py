"""The one table that every metric is computed from: how many positives and negatives lie at each distinct score.

Weighted counts for several resamples at once (the last axis) make the bootstrap one pass over arrays. Point estimates
are the same functions with all weights one.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Integer
from scipy import sparse

from mole_jax.evaluation.statistics.groups import Groups, draw_weights

# Work on this many (distinct score, resample) cells at a time: a few arrays of it stay in a core's cache. With fewer
# resamples at a time than BESIDE the rows of a table are too short; they are worth leaving the cache up to MOST_CELLS.
CELLS = 2**16
BESIDE = 8
MOST_CELLS = 2**20
# More draws of images than this in all and the number of resamples is cut, but never below FEWEST.
MOST_DRAWS = 400_000_000
FEWEST = 200


@dataclass(frozen=True)
class Counts:
    """Weighted numbers of images of each class below each distinct score, for r weightings."""

    score: Float[np.ndarray, " k"]  # distinct, ascending
    positive_below: Float[np.ndarray, "k+1 r"]  # row i: score < score[i]; the last row: all
    negative_below: Float[np.ndarray, "k+1 r"]

    @property
    def positive(self) -> Float[np.ndarray, "k r"]:
        """Positives at each distinct score."""
        return np.diff(self.positive_below, axis=0)

    @property
    def negative(self) -> Float[np.ndarray, "k r"]:
        """Negatives at each distinct score."""
        return np.diff(self.negative_below, axis=0)


Statistics = Callable[[Counts], Mapping[str, Float[np.ndarray, "..."]]]


class Counter:
    """Counts images by score under any weights of their lesions."""

    def __init__(self, score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> None:
        self.groups = groups
        self.score, rank = np.unique(score, return_inverse=True)
        shape = (len(self.score), groups.count)
        self._membership = [
            sparse.csr_array((np.ones(int(of.sum())), (rank[of], groups.index[of])), shape=shape)
            for of in (label == 1, label == 0)
        ]

    def count(self, weights: Float[np.ndarray, "g r"]) -> Counts:
        """The table when lesion i counts `weights[i]` times."""
        below = []
        for membership in self._membership:
            table = np.zeros((len(self.score) + 1, weights.shape[1]))
            np.cumsum(membership @ weights, axis=0, out=table[1:])
            below.append(table)
        return Counts(self.score, *below)

    def as_they_are(self) -> Counts:
        """The table of the images as they are, r = 1."""
        return self.count(np.ones((self.groups.count, 1)))

    def value(self, statistics: Statistics) -> dict[str, Float[np.ndarray, "..."]]:
        """The statistics of the images as they are, without the axis of resamples."""
        return {name: result[..., 0] for name, result in statistics(self.as_they_are()).items()}

    def bootstrap(self, statistics: Statistics, *, resamples: int, seed: int) -> dict[str, Float[np.ndarray, "... r"]]:
        """The statistics of each cluster-bootstrap resample, on the last axis.

        Above `MOST_DRAWS` images drawn in all, fewer resamples are taken: `affordable_resamples` says how many.
        """
        parts = [statistics(self.count(weights)) for weights in self._draws(resamples, seed)]
        return {name: np.concatenate([part[name] for part in parts], axis=-1) for name in parts[0]}

    def _draws(self, resamples: int, seed: int) -> Iterator[Float[np.ndarray, "g r"]]:
        n = max(len(self.groups.index), 1)
        at_a_time = max(1, CELLS // n, min(BESIDE, MOST_CELLS // n))
        return draw_weights(self.groups, resamples=affordable_resamples(n, resamples), seed=seed, at_a_time=at_a_time)


def from_positives(score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
    """Scores that call the same images at each threshold that is a positive's score, with as few values as that needs.

    How many positives score no higher. Average precision depends on no more, and its table has a row for each score of
    a positive instead of a row for each score.
    """
    return np.searchsorted(np.unique(score[label == 1]), score, side="right").astype(np.float64)


def affordable_resamples(n: int, resamples: int) -> int:
    """How many of the `resamples` asked for are taken of `n` images: all up to 200,000 images, then fewer."""
    return min(resamples, max(FEWEST, MOST_DRAWS // n))
