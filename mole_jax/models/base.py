"""The Model contract: pure functions, with no data, optimiser or flags inside."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.chunks import in_chunks

# {"params": ..., "batch_stats": ...}: a plain pytree.
Variables = dict[str, Any]


class Model(NamedTuple):
    """A classifier of images into mole (0) and melanoma (1).

    Attributes:
        init: (key, *, input_shape) -> variables; input_shape is [batch, height, width, 3].
        apply: (variables, images, *, train, key=None) -> (logits[batch], new batch_stats); images are normalised floats
            [batch, height, width, 3] (or features in their stead, where a model says so). `train` uses the batch's
            statistics and dropout; key is for dropout.
        trainable: (params) -> a pytree of bool of the same structure, the mask that is handed to optax.
    """

    init: Callable[..., Variables]
    apply: Callable[..., tuple[Float[Array, " batch"], Any]]
    trainable: Callable[[Any], Any]


def all_trainable(params: Any) -> Any:
    """The mask of a model with nothing frozen."""
    return jax.tree.map(lambda _: True, params)


def from_linen(module: nn.Module, *, trainable: Callable[[Any], Any] = all_trainable, chunked: bool = False) -> Model:
    """Wraps a Linen module whose call is (images, *, train) -> [batch, 1] as a Model.

    Args:
        module: the network.
        trainable: as in the contract.
        chunked: whether inference goes through `in_chunks`: for networks whose activations outweigh their parameters.
    """

    def init(key: jax.Array, *, input_shape: Sequence[int]) -> Variables:
        variables = module.init(key, jnp.zeros(input_shape, jnp.float32), train=False)
        return {"params": variables["params"], "batch_stats": variables.get("batch_stats", {})}

    def apply(
        variables: Variables, images: Float[Array, "batch ..."], *, train: bool, key: jax.Array | None = None
    ) -> tuple[Float[Array, " batch"], Any]:
        rngs = None if key is None else {"dropout": key}
        if not train:
            infer = partial(module.apply, variables, train=False)
            logits = in_chunks(infer, images) if chunked else infer(images)
            return logits[:, 0], variables["batch_stats"]
        logits, updated = module.apply(variables, images, train=True, rngs=rngs, mutable=["batch_stats"])
        return logits[:, 0], updated.get("batch_stats", {})

    return Model(init, apply, trainable)
