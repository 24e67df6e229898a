"""Batches from a random-access split, through grain: one grain element is one whole batch.

Batching inside the element means that there is no remainder to lose between workers, and that the position is one
number, the count of batches drawn.
"""

import itertools
from collections.abc import Iterator
from typing import Any, Final, Literal, TypedDict

import grain
import numpy as np
from jaxtyping import Bool, Int, Shaped

from mole_jax.data.shards import Source

# Two readers keep two batches ahead of the step; more only costs memory (a batch of 500 is 75 MB).
READ = grain.ReadOptions(num_threads=2, prefetch_buffer_size=2)


ALL: Final = slice(None)  # the rows of a batch


class Batch(TypedDict):
    """The images and labels of one step. Padding has mask False, label 0 and zeros for the image."""

    image: Shaped[np.ndarray, "batch ..."]
    label: Int[np.ndarray, " batch"]
    mask: Bool[np.ndarray, " batch"]


def steps_per_epoch(images: int, batch_size: int) -> int:
    """Steps until every image has been drawn: the last batch of an epoch is filled up from the next one's order."""
    return -(-images // batch_size)


def epoch_order(labels: Int[np.ndarray, " n"], *, seed: int, epoch: int, balance: bool) -> Int[np.ndarray, " n"]:
    """The indices drawn in one epoch, in order.

    Args:
        labels: 0 or 1 for each record.
        seed: decides the order, together with `epoch`.
        epoch: number of the epoch, from 0.
        balance: draw each class equally often (one may be one ahead): a fresh part of the larger class in each epoch,
        the
            smaller class repeated, no image twice more often than another of its class. Else every image once.
    """
    random = np.random.default_rng((seed, epoch))
    if not balance:
        return random.permutation(len(labels))
    drawn = []
    for label, count in ((0, len(labels) - len(labels) // 2), (1, len(labels) // 2)):
        of_class = np.flatnonzero(labels == label)
        repeats = [random.permutation(of_class) for _ in range(-(-count // len(of_class)))]
        drawn.append(np.concatenate(repeats)[:count])
    return random.permutation(np.concatenate(drawn))


def draw(
    labels: Int[np.ndarray, " n"], *, first: int, count: int, seed: int, balance: bool
) -> Int[np.ndarray, " count"]:
    """The indices of the images at places first..first+count-1 of the endless sequence of epoch orders."""
    positions = np.arange(first, first + count)
    epochs = range(first // len(labels), (first + count - 1) // len(labels) + 1)
    orders = [epoch_order(labels, seed=seed, epoch=epoch, balance=balance) for epoch in epochs]
    return np.concatenate(orders)[positions - epochs.start * len(labels)]


class _TrainBatches(grain.sources.RandomAccessDataSource[Batch]):
    """The batches of the steps start..end-1, or the same rows of each of them."""

    def __init__(
        self,
        source: Source,
        labels: Int[np.ndarray, " n"],
        *,
        batch_size: int,
        start: int,
        end: int,
        seed: int,
        balance: bool,
        rows: slice,
    ) -> None:
        self._rows = rows
        self._source, self._labels, self._batch_size = source, labels, batch_size
        self._start, self._end, self._seed, self._balance = start, end, seed, balance

    def __len__(self) -> int:
        return self._end - self._start

    def __getitem__(self, index: Any) -> Batch:
        first = (self._start + index) * self._batch_size
        drawn = draw(self._labels, first=first, count=self._batch_size, seed=self._seed, balance=self._balance)
        own = drawn[self._rows].tolist()
        return _read(self._source, own, len(own))


class _EvaluationBatches(grain.sources.RandomAccessDataSource[Batch]):
    """The records in order, the last batch padded, or the same rows of each batch."""

    def __init__(self, source: Source, *, batch_size: int, start: int, rows: slice) -> None:
        self._source, self._batch_size, self._start, self._rows = source, batch_size, start, rows

    def __len__(self) -> int:
        return -(-(len(self._source) - self._start) // self._batch_size)

    def __getitem__(self, index: Any) -> Batch:
        start = self._start + index * self._batch_size
        own = range(start, start + self._batch_size)[self._rows]
        return _read(self._source, [i for i in own if i < len(self._source)], len(own))


def train_batches(
    source: Source,
    labels: Int[np.ndarray, " n"],
    *,
    batch_size: int,
    start: int = 0,
    end: int,
    seed: int,
    balance: Literal["none", "sampler", "weights", "effective"],
    rows: slice = ALL,
) -> Iterator[Batch]:
    """The batches of the steps start..end-1, of equal size.

    Epochs follow each other without a gap (see `steps_per_epoch`), each shuffled from (seed, epoch), so that every
    image of a class is drawn equally often, whatever the batch size. The step's number gives the place in this
    sequence.

    Args:
        source: the records.
        labels: of each of them, 0 or 1, by which they are drawn.
        batch_size: images a batch.
        start: of the steps, the first.
        end: of the steps, the one after the last.
        seed: decides the order.
        balance: "sampler" draws each class equally often.
        rows: which rows of each batch to read; of several processes each reads its own.
    """
    batches = _TrainBatches(
        source, labels, batch_size=batch_size, start=start, end=end, seed=seed, balance=balance == "sampler", rows=rows
    )
    return iter(grain.MapDataset.source(batches).to_iter_dataset(READ))


def evaluation_batches(source: Source, *, batch_size: int, start: int = 0, rows: slice = ALL) -> Iterator[Batch]:
    """Every record from `start` on once, in order; the last batch is padded to `batch_size` and masked.

    Args:
        source: the records.
        batch_size: images a batch.
        start: the first record.
        rows: which rows of each batch to read; of several processes each reads its own.
    """
    batches = _EvaluationBatches(source, batch_size=batch_size, start=start, rows=rows)
    return iter(grain.MapDataset.source(batches).to_iter_dataset(READ))


def _read(source: Source, indices: list[int], batch_size: int) -> Batch:
    # Each record goes straight into its place, so that few are held beside the batch.
    records = map(source.__getitem__, indices or [0])  # padding alone has the shape of any record
    first = next(records)
    images = np.zeros((batch_size, *first["image"].shape), first["image"].dtype)
    labels = np.zeros(batch_size, np.int32)
    for i, record in enumerate(itertools.chain([first], records) if indices else ()):
        images[i], labels[i] = record["image"], record["label"]
    return Batch(image=images, label=labels, mask=np.arange(batch_size) < len(indices))
