"""Random changes to training images that leave the diagnosis as it is. Runs inside the jitted step."""

from typing import Literal

import jax
import jax.numpy as jnp
from jaxtyping import Array, Shaped, UInt8

Augmentation = Literal["none", "dihedral"]


def augmented(
    images: UInt8[Array, "batch side side 3"], how: Augmentation, key: jax.Array
) -> UInt8[Array, "batch side side 3"]:
    """The images as one epoch's training sees them, each with a draw of its own from the key."""
    return dihedral(images, key) if how == "dihedral" else images


def dihedral(images: Shaped[Array, "batch side side 3"], key: jax.Array) -> Shaped[Array, "batch side side 3"]:
    """Gives each image one of the square's eight flips and quarter turns, each as probable."""
    coins = jax.random.bernoulli(key, shape=(3, images.shape[0], 1, 1, 1))
    images = jnp.where(coins[0], images[:, ::-1], images)
    images = jnp.where(coins[1], images[:, :, ::-1], images)
    return jnp.where(coins[2], images.swapaxes(1, 2), images)
