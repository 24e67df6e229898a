"""The training split in the device's memory: copied there once, then shuffled and stepped through without the host.

Of several devices each holds the whole split and takes its share of a batch from it, so that they need not ask each
other for images.
"""

import os
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from mole_jax.config import RunConfig
from mole_jax.data.loader import draw
from mole_jax.data.shards import Source
from mole_jax.errors import UserError
from mole_jax.models.base import DeviceBatch
from mole_jax.placement import OnMesh, Placement
from mole_jax.training.feed import Feed
from mole_jax.training.state import TrainState
from mole_jax.training.steps import TrainStep

# Share of the device's memory for the images; the rest is for the model and its activations.
SHARE = 0.5
# Images in one call of the device, at most: short enough for SIGTERM and the progress bar.
STRETCH = 2000


def belongs_on_device(config: RunConfig, source: Source, device: Any = None) -> bool:
    """Whether the training split is to be copied to the device.

    `data_on_device="auto"` copies it to accelerators where it fits: on a CPU "the device" is the same memory, and
    reading costs little beside a step.

    Args:
        config: the run's config; `data_on_device` is read.
        source: the training split.
        device: a jax.Device; None: the first one.

    Raises:
        UserError: it is asked for and does not fit.
    """
    device = device or jax.devices()[0]
    if config.data_on_device == "off" or (config.data_on_device == "auto" and device.platform == "cpu"):
        return False
    size, memory = len(source) * _first(source).nbytes, _memory(device)
    if size <= SHARE * memory:
        return True
    if config.data_on_device == "auto":
        return False
    raise UserError(
        f"data_on_device='on': the training split takes {size / 1e9:.2f} GB and may take half of the "
        f"{memory / 1e9:.2f} GB of {device.device_kind}; give --data_on_device=off, "
        "which reads it from disk as it is needed"
    )


def from_device(
    train_step: TrainStep,
    source: Source,
    labels: Int[np.ndarray, " n"],
    config: RunConfig,
    *,
    placement: Placement,
    shapes: TrainState,
    start: int,
) -> Feed:
    """Several steps a call, each on the batch that `mole_jax.data.loader.train_batches` would give.

    Args:
        train_step: a pure function, from `mole_jax.training.steps.train_step`.
        source: the training split; it is read here, as a whole.
        labels: of each of its records, 0 or 1, by which they are drawn.
        config: `batch_size`, `seed`, `balance` and `profile` are read; with a profile, each call is one step.
        placement: where the state lies, and the split goes.
        shapes: the state's.
        start: number of steps already done.
    """
    size = config.batch_size
    most = 1 if config.profile else max(1, STRETCH // size)
    split = placement.everywhere(_read(source))
    advance = _advance(train_step, most, placement, shapes)
    step = start

    def feed(state: TrainState, stop: int) -> tuple[TrainState, Float[Array, " steps"]]:
        nonlocal step
        count = min(most, stop - step)
        rows = np.zeros((most, size), np.int32)
        drawn = draw(
            labels, first=step * size, count=count * size, seed=config.seed, balance=config.balance == "sampler"
        )
        rows[:count] = drawn.reshape(count, size)
        step += count
        state, losses = advance(state, split, *placement.everywhere((rows, np.int32(count))))
        return state, losses[:count]

    return feed


def _advance(train_step: TrainStep, most: int, placement: Placement, shapes: TrainState) -> OnMesh:
    def advance(
        state: TrainState, split: DeviceBatch, rows: Int[Array, "most batch"], count: Int[Array, ""]
    ) -> tuple[TrainState, Float[Array, " most"]]:
        def body(i: Int[Array, ""], carry: tuple[TrainState, Float[Array, " most"]]) -> Any:
            before, losses = carry
            batch = placement.shared({name: values[rows[i]] for name, values in split.items()})
            after, loss = train_step(before, {**batch, "mask": jnp.ones(rows.shape[1], bool)})
            return after, losses.at[i].set(loss)

        return jax.lax.fori_loop(0, count, body, (state, jnp.zeros(most, jnp.float32)))

    return placement.jit_step(advance, shapes)


def _read(source: Source) -> dict[str, np.ndarray]:
    """The images or features of all records, and their labels, each as one array."""
    first = _first(source)
    images, labels = np.empty((len(source), *first.shape), first.dtype), np.empty(len(source), np.int32)
    for i in range(len(source)):
        record = source[i]
        images[i], labels[i] = record["image"], record["label"]
    return {"image": images, "label": labels}


def _first(source: Source) -> np.ndarray:
    return source[0]["image"]


def _memory(device: Any) -> int:
    """Bytes of the device's memory that we may use, free or not, so that the answer is the same at each start."""
    limit = (device.memory_stats() or {}).get("bytes_limit")
    return limit or os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
