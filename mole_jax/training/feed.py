"""How the training images come to the steps."""

from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Float, Int

from mole_jax.config import RunConfig
from mole_jax.data.loader import train_batches
from mole_jax.data.shards import Source
from mole_jax.training.clock import Clock
from mole_jax.training.state import TrainState
from mole_jax.training.steps import TrainStep

# (state, the step at which to stop at the latest) -> (state after one or more steps, the loss of each of these).
Feed = Callable[[TrainState, int], tuple[TrainState, Float[Array, "..."]]]


def from_loader(
    train_step: TrainStep,
    source: Source,
    labels: Int[np.ndarray, " n"],
    config: RunConfig,
    clock: Clock,
    *,
    start: int,
    end: int,
) -> Feed:
    """One step a call, its batch read ahead by the loader.

    Args:
        train_step: jitted.
        source: the training split.
        labels: of it.
        config: `batch_size`, `seed` and `balance` are read.
        clock: told of the time that is waited for images.
        start: the steps done; with the seed, all there is to say about the loader's position.
        end: the last step's number.
    """
    batches = train_batches(
        source,
        labels,
        batch_size=config.batch_size,
        start=start,
        end=end,
        seed=config.seed,
        balance=config.balance,
    )

    def feed(state: TrainState, _: int) -> tuple[TrainState, Float[Array, "..."]]:
        with clock("data"):
            batch = next(batches)
        return train_step(state, jax.device_put(batch))

    return feed
