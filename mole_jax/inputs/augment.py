"""Random changes to training images that leave the diagnosis as it is. Runs inside the jitted step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped


def dihedral(images: Shaped[Array, "batch side side 3"], key: jax.Array) -> Shaped[Array, "batch side side 3"]:
    """Gives each image, bytes or normalised, one of the square's eight flips and quarter turns, each as probable."""
    coins = jax.random.bernoulli(key, shape=(3, images.shape[0], 1, 1, 1))
    images = jnp.where(coins[0], images[:, ::-1], images)
    images = jnp.where(coins[1], images[:, :, ::-1], images)
    return jnp.where(coins[2], images.swapaxes(1, 2), images)
