"""Randomness is derived, never carried: nothing random is saved, and a resumed run draws what an unbroken one would."""

import zlib

import jax
from jaxtyping import Array, Int


def derive_key(seed: int, purpose: str, step: int | Int[Array, ""] = 0) -> jax.Array:
    """The key for one purpose at one step."""
    return jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), zlib.crc32(purpose.encode())), step)
