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
    """Attributes: the number of steps done; the model's variables; the optimiser's; the sums since the epoch began."""

    step: Int[Array, ""]
    params: Any
    batch_stats: Any
    opt_state: optax.OptState
    epoch: Sums


def no_sums() -> Sums:
    """Sums over no image."""
    return Sums(*(jnp.zeros((), jnp.float32) for _ in Sums._fields))


def initial_state(
    model: Model, optimizer: optax.GradientTransformation, *, seed: int, input_shape: tuple[int, ...]
) -> TrainState:
    """The state before the first step, drawn from the seed alone."""
    variables = model.init(derive_key(seed, "init"), input_shape=input_shape)
    params = variables["params"]
    return TrainState(jnp.zeros((), jnp.int32), params, variables["batch_stats"], optimizer.init(params), no_sums())


def take_over(old: TrainState, new: TrainState, given: Variables) -> TrainState:
    """The state of another model that shares a part of the old one's trees, such as the head.

    Args:
        old: the state that gives every leaf whose path is also in `new`.
        new: the shapes and types of the result.
        given: {"params", "batch_stats"} that give what `old` lacks of these. What the optimiser lacks is zero.
    """
    given_state = new._replace(params=given["params"], batch_stats=given["batch_stats"], opt_state=())
    have = _by_path(given_state) | _by_path(old)

    def leaf(path: tuple[Any, ...], shape: jax.ShapeDtypeStruct) -> jax.Array:
        found = have.get(jax.tree_util.keystr(path))
        return jnp.zeros(shape.shape, shape.dtype) if found is None else jnp.asarray(found)

    return jax.tree_util.tree_map_with_path(leaf, new)


def _by_path(tree: Any) -> dict[str, Any]:
    return {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_flatten_with_path(tree)[0]}
