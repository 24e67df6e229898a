"""Expected calibration error without its upward drift, and the bins of the reliability curve."""

from collections.abc import Callable
from typing import Final

import numpy as np
from jaxtyping import Bool, Float, Integer

from mole_jax.evaluation.schema import Bin
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import (
    FEWEST_BOOTSTRAP,
    LEVEL,
    NO_VARIATION,
    SAME,
    Estimate,
    estimate,
    point,
    proportion,
    too_few,
)

BINS: Final = 10
TOO_GOOD: Final = "closer to calibration than chance alone leads one to expect"
LARGEST: Final = 1e6  # times the observed deviations: where a search gives up
BISECTIONS: Final = 40


class Bins:
    """Bins of equally many images; equal scores share one."""

    def __init__(self, score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups) -> None:
        self._score, self._label, self._groups = score, label, groups
        distinct, images = np.unique(score, return_counts=True)
        middle = np.cumsum(images) - images / 2  # the middle rank of each score's images
        of_score = (BINS * middle / len(score)).astype(np.int64)
        self._lowest = distinct[np.flatnonzero(np.diff(of_score, prepend=-1))]
        self.of_image = np.searchsorted(self._lowest, score, side="right") - 1

    @property
    def count(self) -> int:
        """How many bins."""
        return len(self._lowest)

    def rows(self) -> list[Bin]:
        """Each bin, lowest scores first."""
        return [self._row(self.of_image == b) for b in range(self.count)]

    def _row(self, among: Bool[np.ndarray, " n"]) -> Bin:
        score = self._score[among]
        return {
            "images": int(among.sum()),
            "positives": int(self._label[among].sum()),
            "lowest_score": float(score.min()),
            "highest_score": float(score.max()),
            "mean_score": float(score.mean()),
            "observed": proportion(self._label == 1, among, self._groups),
        }


def calibration_error(
    excess: Float[np.ndarray, " b"], samples: Float[np.ndarray, "b r"], groups: Groups
) -> tuple[Estimate, float]:
    """The expected calibration error, its drift removed, with an interval; and as it is usually computed.

    The usual number is never below 0, so a perfect model of a finite test set has one above it. Here it is compared
    with what it would be if each bin deviated by s times what it shows, plus the deviation of a bootstrap resample
    from the data: s = 0 is the consistency check of Broecker & Smith (2007) with whole lesions. The interval holds the
    errors whose s is not refuted at 2.5 % on either side; the value is where the data would be the median.

    Args:
        excess: by how much each bin's scores exceed its melanomas, as a share of all images.
        samples: the same of each cluster-bootstrap resample.
        groups: the lesions.

    Returns:
        The estimate, and the usual error.
    """
    usual = float(np.abs(excess).sum())
    noise = samples - excess[:, None]

    def below(s: float) -> float:
        """The share of resamples whose error is at most the usual one where the true deviations are s times these."""
        return float((np.abs(s * excess[:, None] + noise).sum(axis=0) <= usual).mean())

    tail = (1 - LEVEL) / 2
    low, middle, high = (usual * _crossing(below, share) for share in (1 - tail, 0.5, tail))
    if reason := too_few(groups, FEWEST_BOOTSTRAP):
        return point(middle, reason=reason), usual
    if np.ptp(noise) <= SAME:
        return point(middle, reason=NO_VARIATION), usual
    if high == 0:
        return point(middle, reason=TOO_GOOD), usual
    return estimate(middle, low, high, "bootstrap_inversion"), usual


def _crossing(below: Callable[[float], float], share: float) -> float:
    """The smallest s from which `below`, which falls, is less than a share; 0 where it always is."""
    if below(0.0) < share:
        return 0.0
    low, high = 0.0, 1.0
    while below(high) >= share and high < LARGEST:
        low, high = high, 2 * high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if below(middle) >= share else (low, middle)
    return high
