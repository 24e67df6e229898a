"""All that training changes, in one immutable container."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, Int

from mole_jax.models.base import Model, Variables
from mole_jax.training.randomness import derive_key


class Sums(NamedTuple):
    """Metrics as sums and counts, divided once at the end.

    Attributes:
        loss: sum over the images of each one's loss (with the L2 term counted once an image, so that loss/images is
        the mean).
        correct: number of images on the right side of probability 0.5.
        images: number of images.
    """

    loss: Float[Array, ""]
    correct: Float[Array, ""]
    images: Float[Array, ""]


class TrainState(NamedTuple):
    """All that a step changes.

    Attributes:
        step: the number of steps done.
        params: of the model.
        batch_stats: of the model.
        opt_state: of the optimiser.
        epoch: the sums since the epoch began.
        average: {"params", "batch_stats"}, averaged over the steps; () where no average is kept.
    """

    step: Int[Array, ""]
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    epoch: Sums
    average: Any = ()

    @property
    def variables(self) -> Variables:
        """What is evaluated and kept: the averaged {"params", "batch_stats"}, or else the trained ones themselves."""
        return self.average or {"params": self.params, "batch_stats": self.batch_stats}


def no_sums() -> Sums:
    """Sums over no image."""
    return Sums(*(jnp.zeros((), jnp.float32) for _ in Sums._fields))


def initial_state(
    model: Model,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    input_shape: tuple[int, ...],
    averaged: bool = False,
) -> TrainState:
    """The state before the first step, drawn from the seed alone."""
    return state_of(model.init(derive_key(seed, "init"), input_shape=input_shape), optimizer, averaged=averaged)


def state_of(variables: Variables, optimizer: optax.GradientTransformation, *, averaged: bool = False) -> TrainState:
    """The state before the first step from these variables.

    Args:
        variables: {"params", "batch_stats"}.
        optimizer: the optimiser, built for the parameters.
        averaged: whether an average of the variables is kept.
    """
    params, stats = variables["params"], variables["batch_stats"]
    # Copied, since a step takes over the memory of each.
    average = jax.tree.map(jnp.copy, {"params": params, "batch_stats": stats}) if averaged else ()
    return TrainState(jnp.zeros((), jnp.int32), params, stats, optimizer.init(params), no_sums(), average)


def take_over(old: Variables, new: Variables, given: Variables) -> Variables:
    """The variables of a model that shares a part of its trees, such as the head, with another one.

    Args:
        old: {"params", "batch_stats"} of the other one, which give every leaf whose path is also in `new`.
        new: the shapes of the result.
        given: {"params", "batch_stats"} that give what `old` lacks.
    """
    have = _by_path(given) | _by_path(old)
    return jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(have[jax.tree_util.keystr(path)]), new)


def _by_path(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
