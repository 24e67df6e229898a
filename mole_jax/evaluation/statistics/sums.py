"""Sums over images under any weights of their lesions: all that a mean, a share or a bin needs of a resample.

They are added up by lesion once, so that a resample costs no more than there are lesions, whatever the scores.
"""

import numpy as np
from jaxtyping import Float, Integer, Shaped
from scipy import sparse

from mole_jax.evaluation.statistics.counts import MOST_CELLS, affordable_resamples
from mole_jax.evaluation.statistics.groups import Groups, draw_weights


class Sums:
    """Named sums over images, each in one cell or in several, kept by lesion."""

    def __init__(self, groups: Groups) -> None:
        self._groups = groups
        self._tables: dict[str, sparse.csr_array] = {}

    def add(
        self,
        name: str,
        values: Shaped[np.ndarray, " n"],
        *,
        cell: Integer[np.ndarray, " n"] | None = None,
        cells: int = 1,
    ) -> None:
        """Adds a sum of `values`, apart for each of the cells 0 to `cells` - 1 where each image has one."""
        row = np.zeros(len(values), np.int64) if cell is None else cell
        shape = (cells, self._groups.count)
        self._tables[name] = sparse.csr_array((values.astype(np.float64), (row, self._groups.index)), shape=shape)

    def value(self) -> dict[str, Float[np.ndarray, " c"]]:
        """The sums of the images as they are."""
        return {name: np.asarray(table.sum(axis=1)) for name, table in self._tables.items()}

    def bootstrap(self, *, resamples: int, seed: int) -> dict[str, Float[np.ndarray, "c r"]]:
        """The sums of each cluster-bootstrap resample: the same draws, and as many, as `Counter.bootstrap` takes."""
        table = sparse.vstack(list(self._tables.values()), format="csr")
        draws = draw_weights(
            self._groups,
            resamples=affordable_resamples(len(self._groups.index), resamples),
            seed=seed,
            at_a_time=max(1, MOST_CELLS // max(self._groups.count, 1)),
        )
        sums = np.concatenate([table @ weights for weights in draws], axis=1)
        ends = np.cumsum([part.shape[0] for part in self._tables.values()])
        return dict(zip(self._tables, np.split(sums, ends[:-1]), strict=True))
