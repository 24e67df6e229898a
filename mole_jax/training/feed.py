"""How the training images come to the steps."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Array, Float, Int

from mole_jax.config import RunConfig
from mole_jax.data.loader import train_batches
from mole_jax.data.shards import Source
from mole_jax.placement import Placement
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
    placement: Placement,
    start: int,
    end: int,
) -> Feed:
    """One step a call; the loader reads its batch ahead.

    Args:
        train_step: the training step, compiled for the placement.
        source: the training split.
        labels: of each of its records, 0 or 1, by which they are drawn.
        config: the run's config; `batch_size`, `seed` and `balance` are read.
        clock: counts the time spent waiting for images.
        placement: where the state lies, and the batches go.
        start: number of steps already done; with the seed, this is the loader's whole position.
        end: number of steps done after the last one.
    """
    batches = train_batches(
        source,
        labels,
        batch_size=config.batch_size,
        start=start,
        end=end,
        seed=config.seed,
        balance=config.balance,
        rows=placement.rows(config.batch_size),
    )

    def feed(state: TrainState, _: int) -> tuple[TrainState, Float[Array, "..."]]:
        with clock("data"):
            batch = next(batches)
        return train_step(state, placement.batch(batch))

    return feed
