"""The Model contract: pure functions, with no data, optimiser or flags inside."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, Protocol, runtime_checkable

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.chunks import in_chunks

# {"params": ..., "batch_stats": ...}: a plain pytree.
Variables = dict[str, Any]
# A `mole_jax.data.loader.Batch` on the device: image, label and mask, the last two [batch].
DeviceBatch = Mapping[str, Array]


@runtime_checkable
class Init(Protocol):
    """Draws the initial variables from the key alone; `input_shape` is [batch, ...], the shape that `apply` takes."""

    def __call__(self, key: jax.Array, *, input_shape: Sequence[int]) -> Variables:
        """Gives the variables."""
        ...


@runtime_checkable
class Apply(Protocol):
    """Computes the logits and the new batch statistics.

    `images` are normalised floats [batch, height, width, 3] (features [batch, ...] where a model says so). `train` uses
    the batch's statistics, and dropout drawn from `key`; otherwise the moving statistics are used and do not change.
    """

    def __call__(
        self, variables: Variables, images: Float[Array, "batch ..."], *, train: bool, key: jax.Array | None = None
    ) -> tuple[Float[Array, " batch"], Any]:
        """Gives (logits [batch], the new batch statistics)."""
        ...


@runtime_checkable
class Trainable(Protocol):
    """A pytree of bool of the structure of `params`: the mask that is handed to optax."""

    def __call__(self, params: Any) -> Any:
        """Gives the mask."""
        ...


@runtime_checkable
class Scores(Protocol):
    """As `Apply`, but for the scores of all classes: melanoma first, then, in a network of more than one score, the
    groups of what is none. Their softmax is the probabilities.
    """

    def __call__(
        self, variables: Variables, images: Float[Array, "batch ..."], *, train: bool, key: jax.Array | None = None
    ) -> tuple[Float[Array, "batch classes"], Any]:
        """Gives (scores [batch, classes], the new batch statistics)."""
        ...


class Model(NamedTuple):
    """A classifier of images: label 1 is melanoma, label 0 everything else. Pure functions.

    `apply` gives `melanoma_logits` of `scores`. `chunked`: whether a CPU infers a few images at a time (`in_chunks`).
    """

    init: Init
    apply: Apply
    trainable: Trainable
    scores: Scores
    chunked: bool = False


def melanoma_logits(scores: Float[Array, "batch classes"]) -> Float[Array, " batch"]:
    """The log odds of melanoma against all else. A single score is that; of several, whose softmax is the
    probabilities, it is the first minus the log of the sum of the others' exponentials.
    """
    if scores.shape[1] == 1:
        return scores[:, 0]
    return scores[:, 0] - jax.nn.logsumexp(scores[:, 1:], axis=1)


def all_trainable(params: Any) -> Any:
    """The mask of a model with nothing frozen."""
    return jax.tree.map(lambda _: True, params)


def from_linen(module: nn.Module, *, trainable: Trainable = all_trainable, chunked: bool = False) -> Model:
    """Wraps a Linen module whose call is (images, *, train) -> [batch, classes] as a Model.

    Args:
        module: the network, whose call gives the scores; of one class alone, melanoma's log odds.
        trainable: gives the mask of the trained parameters; by default all are trained.
        chunked: whether inference goes through `in_chunks`: for networks whose activations outweigh their parameters.
    """

    def init(key: jax.Array, *, input_shape: Sequence[int]) -> Variables:
        variables = module.init(key, jnp.zeros(input_shape, jnp.float32), train=False)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    def scores(
        variables: Variables, images: Float[Array, "batch ..."], *, train: bool, key: jax.Array | None = None
    ) -> tuple[Float[Array, "batch classes"], Any]:
        rngs = None if key is None else {"dropout": key}
        if not train:
            infer = partial(module.apply, variables, train=False)
            return in_chunks(infer, images) if chunked else infer(images), variables["batch_stats"]
        found, updated = module.apply(variables, images, train=True, rngs=rngs, mutable=["batch_stats"])
        return found, updated.get("batch_stats", {})

    return Model(init, logits_of(scores), trainable, scores, chunked)


def logits_of(scores: Scores) -> Apply:
    """The `apply` of a model with such scores."""

    def apply(
        variables: Variables, images: Float[Array, "batch ..."], *, train: bool, key: jax.Array | None = None
    ) -> tuple[Float[Array, " batch"], Any]:
        found, stats = scores(variables, images, train=train, key=key)
        return melanoma_logits(found), stats

    return apply
