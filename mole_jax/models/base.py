"""The Model contract: pure functions, with no data, optimiser or flags inside."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
from jaxtyping import Array, Float

# {"params": ..., "batch_stats": ...}: a plain pytree.
Variables = dict[str, Any]


class Model(NamedTuple):
    """A classifier of images into mole (0) and melanoma (1).

    Attributes:
        init: (key, *, input_shape) -> variables; input_shape is [batch, height, width, 3].
        apply: (variables, images, *, train, key=None) -> (logits[batch], new batch_stats); images are normalised floats
            [batch, height, width, 3]. `train` uses the batch's statistics and dropout; key is for dropout.
        trainable: (params) -> a pytree of bool of the same structure, the mask that is handed to optax.
    """

    init: Callable[..., Variables]
    apply: Callable[..., tuple[Float[Array, " batch"], Any]]
    trainable: Callable[[Any], Any]


def all_trainable(params: Any) -> Any:
    """The mask of a model with nothing frozen."""
    return jax.tree.map(lambda _: True, params)
