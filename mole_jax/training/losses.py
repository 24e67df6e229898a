"""The loss of one image, by name: what a logit costs, given how much of the image is melanoma.

Each is a function of the margin, the logit towards the truth: `logit` for a melanoma, `-logit` for anything else.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from mole_jax.config import RunConfig

# (logits, targets in 0..1) -> the loss of each image.
Loss = Callable[[Float[Array, " batch"], Float[Array, " batch"]], Float[Array, " batch"]]
Margin = Callable[[Float[Array, " batch"]], Float[Array, " batch"]]


def cross_entropy(margins: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """Minus the log probability of the truth, as `optax.sigmoid_binary_cross_entropy` computes it."""
    return -jax.nn.log_sigmoid(margins)


def focal(margins: Float[Array, " batch"], gamma: float) -> Float[Array, " batch"]:
    """Cross-entropy times (1 - p)^gamma, where p is the probability of the truth: what is sure counts little.

    Source: Lin et al. 2017 (arXiv:1708.02002), equation 4.
    """
    return optax.sigmoid_focal_loss(margins, jnp.ones_like(margins), gamma=gamma)


def hinge(margins: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """max(0, 1 - margin): what is right by a margin of 1 costs nothing."""
    return optax.hinge_loss(margins, jnp.ones_like(margins))


def squared_hinge(margins: Float[Array, " batch"]) -> Float[Array, " batch"]:
    """The square of `hinge`, the default of scikit-learn's LinearSVC."""
    return hinge(margins) ** 2


def targets_of(labels: Int[Array, " batch"], groups: int) -> Float[Array, "batch classes"]:
    """What each image shows, as the scores of a network stand: melanoma, then the groups of what is none.

    Args:
        labels: 1 for a melanoma, 0 for what is none and of no known group, 2 and more for the groups.
        groups: how many there are; 0: melanoma alone.
    """
    return jax.nn.one_hot(labels - 1, 1 + groups)


def of_groups(scores: Float[Array, "batch groups"], shares: Float[Array, "batch groups"]) -> Float[Array, " batch"]:
    """The cross-entropy of the groups of what is no melanoma among each other; 0 where the group is not known.

    With it and `cross_entropy` of `melanoma_logits`, an image costs what the softmax over all classes costs.
    """
    return -(shares * jax.nn.log_softmax(scores, axis=1)).sum(axis=1)


def build_loss(config: RunConfig) -> Loss:
    """The loss of a run.

    A target between 0 and 1 (of a smoothed label, or of two images mixed) costs that share of a melanoma's loss and the
    rest of the other's; for cross-entropy this is the usual one with soft targets.

    Args:
        config: `loss`, `focal_gamma` and `label_smoothing` are read.
    """
    losses: dict[str, Margin] = {
        "cross_entropy": cross_entropy,
        "focal": lambda margins: focal(margins, config.focal_gamma),
        "hinge": hinge,
        "squared_hinge": squared_hinge,
    }
    of_margins, smoothing = losses[config.loss], config.label_smoothing

    def loss(logits: Float[Array, " batch"], targets: Float[Array, " batch"]) -> Float[Array, " batch"]:
        if smoothing:
            targets = targets * (1 - smoothing) + smoothing / 2
        return targets * of_margins(logits) + (1 - targets) * of_margins(-logits)

    return loss
