"""Can the class be told without the lesion? A classifier on facts that have nothing to do with it should fail."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Float, Integer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.model_selection import StratifiedGroupKFold
from threadpoolctl import threadpool_limits

from mole_jax.audit.file_facts import Facts
from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.intervals import Estimate, undefined
from mole_jax.evaluation.statistics.metrics import auroc

FOLDS: Final = 5
ROUNDS: Final = 60  # trees, one a round of boosting
LEAF: Final = 5  # fewest images in a leaf; the default of 20 would see nothing in a small set
SEED: Final = 0
# An AUROC whose whole interval lies above this is called a shortcut.
CLEARLY: Final = 0.55


def file_facts_table(facts: Sequence[Facts]) -> dict[str, Float[np.ndarray, " n"]]:
    """One column a fact: numbers as they are (NaN where missing), texts by the number of their kind.

    Columns that are the same for all images are left out: they tell nothing.
    """
    table = {}
    for name in sorted({name for one in facts for name in one}):
        values = [one.get(name) for one in facts]
        if any(isinstance(value, str) for value in values):
            column = np.unique([str(value) for value in values], return_inverse=True)[1].astype(np.float64)
        else:
            column = np.array([np.nan if value is None else value for value in values], np.float64)
        if len(np.unique(column)) > 1:
            table[name] = column
    return table


def shortcut(
    columns: Mapping[str, Float[np.ndarray, " n"]],
    label: Integer[np.ndarray, " n"],
    group: Integer[np.ndarray, " n"],
    *,
    each: bool,
) -> dict[str, Any]:
    """How well gradient-boosted trees tell the class from some columns, cross-validated by group.

    Args:
        columns: name of a fact -> its value for each image.
        label: 0 mole, 1 melanoma.
        group: number of each image's group; a group never lies on both sides of a fold.
        each: whether to try each column alone as well.

    Returns:
        `auroc`, an estimate; `shortcut`, whether it counts as a shortcut; `alone`: column -> AUROC, the largest first.
    """
    groups = group_images(group, label)
    reason = _why_not(columns, label, group)
    if reason:
        return {"auroc": undefined(reason), "shortcut": False, "alone": {}}
    estimate = cluster_auroc(_out_of_fold(np.stack(list(columns.values()), axis=1), label, group), label, groups)
    alone = {name: _alone(column, label, group) for name, column in columns.items()} if each else {}
    return {
        "auroc": estimate,
        "shortcut": _clearly(estimate),
        "alone": dict(sorted(alone.items(), key=lambda item: -item[1])),
    }


def _clearly(estimate: Estimate) -> bool:
    """Whether the whole interval lies above CLEARLY."""
    return estimate["low"] is not None and estimate["low"] > CLEARLY


def _why_not(
    columns: Mapping[str, Float[np.ndarray, " n"]], label: Integer[np.ndarray, " n"], group: Integer[np.ndarray, " n"]
) -> str:
    if not columns:
        return "the same for every image, so nothing to tell them apart by"
    fewest = min(len(np.unique(group[label == one])) for one in (0, 1))
    return f"a class has only {fewest} lesions, too few for {FOLDS} folds" if fewest < FOLDS else ""


def _alone(
    column: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], group: Integer[np.ndarray, " n"]
) -> float:
    counter = Counter(_out_of_fold(column[:, None], label, group), label, group_images(group, label))
    return float(counter.value(lambda counts: {"auroc": auroc(counts)})["auroc"])


def _out_of_fold(
    features: Float[np.ndarray, "n f"], label: Integer[np.ndarray, " n"], group: Integer[np.ndarray, " n"]
) -> Float[np.ndarray, " n"]:
    score = np.zeros(len(label))
    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=SEED)
    # Several threads wait for each other at every node, for longer than they work where the machine is busy.
    with threadpool_limits(1):
        for train, test in folds.split(features, label, group):
            trees = HistGradientBoostingClassifier(
                max_iter=ROUNDS, min_samples_leaf=LEAF, class_weight="balanced", random_state=SEED
            )
            score[test] = trees.fit(features[train], label[train]).predict_proba(features[test])[:, 1]
    return score
