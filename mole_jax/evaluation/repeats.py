"""What becomes of one training under several seeds: each one's AUROC, their mean and spread, and their ensemble."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from mole_jax.errors import UserError
from mole_jax.evaluation.calibration import logits_of
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Repeats
from mole_jax.evaluation.statistics.area import cluster_auroc, cluster_mean_auroc

JUDGED = ("validation", "test")


def mean_logits(of_members: Sequence[Float[np.ndarray, " n"]]) -> Float[np.ndarray, " n"]:
    """The mean logit of each image over some members; of one member its own, to the last bit."""
    if len(of_members) == 1:
        return of_members[0]
    mean: Float[np.ndarray, " n"] = np.mean([each.astype(np.float64) for each in of_members], axis=0)
    return mean


def ensemble(members: Sequence[Predictions]) -> Predictions:
    """The mean logit of each image.

    Args:
        members: each one's predictions of the same images, in any order.

    Raises:
        UserError: they are not of the same images.
    """
    first = members[0]
    for other in members[1:]:
        if set(other.image_id) != set(first.image_id):
            raise UserError(f"{first.source} and {other.source} are not of the same images, which an ensemble needs")
    logits = mean_logits([logits_of(member.aligned_to(first.image_id)) for member in members])
    return dataclasses.replace(first, logit=logits, score=expit(logits), source="the averaged scores")


def repeats(members: Mapping[int, Mapping[str, Predictions]]) -> Repeats:
    """The `repeats` of metrics.json.

    Args:
        members: seed -> split -> predictions, `validation` and `test` among them; at least two seeds.
    """
    found: Repeats = {"seeds": list(members), "splits": {}}
    for split in JUDGED:
        first, *others = (of[split] for of in members.values())
        aligned = [first, *(other.aligned_to(first.image_id) for other in others)]
        scores, label, groups = [each.score for each in aligned], first.label, first.groups
        aurocs = [cluster_auroc(score, label, groups) for score in scores]
        values = [auroc["value"] for auroc in aurocs if auroc["value"] is not None]
        found["splits"][split] = {
            "auroc": aurocs,
            "mean": cluster_mean_auroc(scores, label, groups),
            "deviation": float(np.std(values, ddof=1)) if len(values) > 1 else None,
        }
    return found
