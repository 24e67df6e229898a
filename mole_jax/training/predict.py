"""Logits for every image of a split, each exactly once."""

from typing import Any

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from mole_jax.classifier.network import BATCH_SIZE
from mole_jax.classifier.scoring import EvaluationStep
from mole_jax.data.loader import evaluation_batches
from mole_jax.data.shards import Source
from mole_jax.placement import Placement


def predict(
    step: EvaluationStep,
    variables: Any,
    source: Source,
    *,
    what: str,
    placement: Placement,
    batch_size: int = BATCH_SIZE,
) -> Float[np.ndarray, "n ..."]:
    """Gives the logits in the order of `source`; of several models at once where the step gives a column for each.

    Args:
        step: the step that computes a batch's logits, from `evaluation_step`, compiled for the placement.
        variables: {"params", "batch_stats"} of the model.
        source: the n records to predict.
        what: text beside the progress bar.
        placement: where the variables lie, and the batches go.
        batch_size: images a step, of all devices; the last batch is padded. At any but the default, and on several
            devices, logits may differ in their last bit from those of `Classifier.logits`.
    """
    logits: list[np.ndarray] = []
    total = -(-len(source) // batch_size)
    for batch in tqdm(
        evaluation_batches(source, batch_size=batch_size, rows=placement.rows(batch_size)),
        total=total,
        desc=what,
        leave=False,
        disable=None,
    ):
        of_batch = placement.gathered(step(variables, placement.batch(batch)))
        logits.append(np.asarray(of_batch)[: len(source) - batch_size * len(logits)])
    result = np.concatenate(logits)
    assert len(result) == len(source), (len(result), len(source))
    return result
