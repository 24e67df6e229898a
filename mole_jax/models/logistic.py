"""Logistic regression on the pixels: 150,528 -> 1, from zero weights."""

import flax.linen as nn
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.models.base import Model, from_linen


class Logistic(nn.Module):
    """One linear layer, with a bias that the paper's own code lacked."""

    @nn.compact
    def __call__(self, images: Float[Array, "batch height width 3"], *, train: bool) -> Float[Array, "batch 1"]:
        """Gives the logits."""
        del train
        pixels = images.reshape(images.shape[0], -1)
        return nn.Dense(1, kernel_init=nn.initializers.zeros, name="fc1")(pixels).astype(jnp.float32)


def model() -> Model:
    """The paper's logistic regression."""
    return from_linen(Logistic())
