"""Random changes to training images that leave the diagnosis as it is. Runs inside the jitted step."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, UInt8


def dihedral(images: UInt8[Array, "batch side side 3"], key: jax.Array) -> UInt8[Array, "batch side side 3"]:
    """Gives each image one of the square's eight flips and quarter turns, each with the same probability."""
    coins = jax.random.bernoulli(key, shape=(3, images.shape[0], 1, 1, 1))
    images = jnp.where(coins[0], images[:, ::-1], images)
    images = jnp.where(coins[1], images[:, :, ::-1], images)
    return jnp.where(coins[2], images.swapaxes(1, 2), images)
