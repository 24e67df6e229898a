"""What becomes of a run's scores where images are changed, and who has an artefact: numbers with intervals."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.split_estimates import shares_at
from mole_jax.evaluation.statistics.area import cluster_auroc, cluster_auroc_difference
from mole_jax.evaluation.statistics.intervals import Estimate, proportion


@dataclass(frozen=True)
class Effect:
    """What a change to the images does.

    Attributes:
        name: of the change.
        images: how many were changed.
        auroc: on the changed images.
        difference: of that and the AUROC on the same images as they are.
        sensitivity: at the run's main threshold; None where it has none; so with the next two.
        specificity: likewise.
        called_otherwise: share of the images that are called otherwise than before.
        melanomas: mean change of a melanoma's logit.
        others: of another image's.
        typical: median of the absolute changes of the logit.
    """

    name: str
    images: int
    auroc: Estimate
    difference: Estimate
    sensitivity: Estimate | None
    specificity: Estimate | None
    called_otherwise: Estimate | None
    melanomas: float | None
    others: float | None
    typical: float


@dataclass(frozen=True)
class Share:
    """How common an artefact is.

    Attributes:
        split: train, validation or test.
        images: of the split that were looked at.
        melanomas: share of these that have it; None where there are none.
        others: share of the rest.
        auroc: how well its strength alone tells melanomas from the rest.
    """

    split: str
    images: int
    melanomas: Estimate | None
    others: Estimate | None
    auroc: Estimate


def effect(name: str, before: Predictions, logits: Float[np.ndarray, " n"], threshold: float | None) -> Effect:
    """Compares scores of changed images with those of the same images as they are.

    Args:
        name: of the change.
        before: scores of the images as they are.
        logits: of the changed images, in the same order.
        threshold: of the main operating point; None: none.
    """
    assert before.logit is not None
    score, positive, moved = expit(logits.astype(np.float64)), before.label == 1, logits - before.logit
    at, otherwise = None, None
    if threshold is not None:
        called = score >= threshold
        at = shares_at(called, positive, before.groups)
        otherwise = proportion(called != (before.score >= threshold), np.ones_like(positive), before.groups)
    return Effect(
        name=name,
        images=before.n,
        auroc=cluster_auroc(score, before.label, before.groups),
        difference=cluster_auroc_difference(score, before.score, before.label, before.groups)[0],
        sensitivity=None if at is None else at["sensitivity"],
        specificity=None if at is None else at["specificity"],
        called_otherwise=otherwise,
        melanomas=float(moved[positive].mean()) if positive.any() else None,
        others=float(moved[~positive].mean()) if not positive.all() else None,
        typical=float(np.median(np.abs(moved))),
    )


def share(split: str, images: Predictions, strength: Float[np.ndarray, " n"], found: Bool[np.ndarray, " n"]) -> Share:
    """How common an artefact is in a split, by class.

    Args:
        split: its name.
        images: of the split; their scores are not read.
        strength: of the artefact in each.
        found: whether an image has it.
    """
    positive = images.label == 1
    melanomas, others = (
        proportion(found, among, images.groups) if among.any() else None for among in (positive, ~positive)
    )
    return Share(
        split, images.n, melanomas, others, cluster_auroc(strength.astype(np.float64), images.label, images.groups)
    )


def verdict(hidden: Effect, outline: Effect, gain: Estimate, before: Estimate) -> str:
    """What the AUROC without the lesion says, in one sentence.

    Whoever hides a lesion still shows how large it is and of what shape, so that the outline alone is what an AUROC
    without it is to be compared with.

    Args:
        hidden: with the lesion hidden.
        outline: with nothing but the hidden area left.
        gain: the AUROC of the one less that of the other.
        before: the AUROC on the images as they are.
    """
    with_it, without, alone = (estimate_text(auroc) for auroc in (before, hidden.auroc, outline.auroc))
    low, high = hidden.auroc["low"], hidden.auroc["high"]
    if low is None or high is None or before["low"] is None:
        return f"With the lesion hidden the AUROC is {without}, and {with_it} as it is: too few lesions to say more."
    if low > 0.5 and gain["low"] is not None and gain["low"] > 0:
        return (
            f"With the lesion hidden the run still reaches an AUROC of {without}, of {with_it} with it, and of "
            f"{alone} from the outline of what is hidden: part of what it knows is not the lesion."
        )
    if low > 0.5:
        return (
            f"With the lesion hidden the run still reaches an AUROC of {without}, of {with_it} with it, but the "
            f"outline of what is hidden gives {alone}: it may know no more than the lesion's size and shape."
        )
    if high < 0.5:
        return (
            f"With the lesion hidden the AUROC is {without}, worse than chance, of {with_it} with it: what is around "
            "the lesion misleads the run."
        )
    return (
        f"With the lesion hidden the AUROC is {without}, of {with_it} with it: nothing shows that the run knows "
        "melanomas by what is around them."
    )


def estimate_text(estimate: Estimate) -> str:
    """An AUROC and its interval, for people."""
    if estimate["value"] is None:
        return "undefined"
    interval = "" if estimate["low"] is None else f" ({estimate['low']:.3f}–{estimate['high']:.3f})"
    return f"{estimate['value']:.3f}{interval}"
