"""Principal components of more numbers than memory holds, and how well the first few tell melanomas from the rest."""

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Integer
from sklearn.decomposition import IncrementalPCA
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import Estimate, undefined

COMPONENTS: Final = 20
BATCH: Final = 100  # rows; five times the components, so that what each batch forgets is little
FIRST: Final = (1, 2, 5, 10, 20)
FOLDS: Final = 5
SEED: Final = 0


def principal_components(batches: Iterable[Float[np.ndarray, "rows d"]], *, most: int = COMPONENTS) -> Any:
    """scikit-learn's IncrementalPCA over batches, each in memory alone; of as many components as a batch has rows, at
    the most.

    Args:
        batches: of rows; what is left at the end, too few for the components, joins the batch before it.
        most: components.
    """
    found, held = None, None
    for batch in batches:
        if held is None:
            held = batch
            continue
        if found is None:
            found = IncrementalPCA(min(most, *held.shape))
        if len(batch) < found.n_components:
            held = np.concatenate([held, batch])
            continue
        found.partial_fit(held)
        held = batch
    assert held is not None, "no rows"
    found = IncrementalPCA(min(most, *held.shape)) if found is None else found
    return found.partial_fit(held)


def in_batches(rows: Iterable[Float[np.ndarray, " d"]], size: int = BATCH) -> Iterable[Float[np.ndarray, "rows d"]]:
    """Rows, some at a time."""
    held: list[np.ndarray] = []
    for row in rows:
        held.append(row)
        if len(held) == size:
            yield np.stack(held)
            held = []
    if held:
        yield np.stack(held)


def first_components(
    scores: Float[np.ndarray, "n k"], label: Integer[np.ndarray, " n"], groups: Groups
) -> dict[str, Estimate]:
    """The AUROC of logistic regressions on the first 1, 2, 5, 10 and 20 components, each image scored by one that was
    fitted without its lesion or patient (five folds).

    Args:
        scores: of the images on the components, the largest first.
        label: 0 or 1.
        groups: lesions or patients.
    """
    counts = [count for count in FIRST if count <= scores.shape[1]]
    if min(groups.positives, groups.negatives) < FOLDS:
        return {str(count): undefined(f"too few lesions for {FOLDS} folds") for count in counts}
    return {
        str(count): cluster_auroc(_out_of_fold(scores[:, :count], label, groups), label, groups) for count in counts
    }


def _out_of_fold(
    scores: Float[np.ndarray, "n k"], label: Integer[np.ndarray, " n"], groups: Groups
) -> Float[np.ndarray, " n"]:
    out = np.zeros(len(label))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    with threadpool_limits(1):
        for train, test in folds.split(scores, label, groups.index):
            model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
            out[test] = model.fit(scores[train], label[train]).decision_function(scores[test])
    return out
