"""Many logistic regressions trained in one pass over the images, each as if it were alone.

All weights lie in one array, so that the product of a batch with all of them is one matrix product. Batches are
consecutive stretches of one endless order of images (`mole_jax.data.loader`), whatever their size: so a chunk of images
is read once, and each batch size goes through it in steps of its own.
"""

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int
from tqdm import tqdm

from mole_jax.augmentation import Augmentation
from mole_jax.classifier.network import BATCH_SIZE, inputs_of
from mole_jax.classifier.scoring import evaluation_step
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.image_file import IMAGE_SHAPE
from mole_jax.data.loader import steps_per_epoch, train_batches
from mole_jax.data.records import Split
from mole_jax.inputs.normalize import Normalize, normalizer
from mole_jax.models import MODELS
from mole_jax.models.base import DeviceBatch, Variables
from mole_jax.placement import Placement, placement_of
from mole_jax.training.epoch_metrics import NonFinite, epoch_metrics, out_of_patience
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.predict import predict
from mole_jax.training.schedules import rate_share
from mole_jax.training.state import Sums, TrainState, initial_state, no_sums
from mole_jax.training.steps import class_weights, train_step

# Images to a chunk, at most: 300 MB, and 1.2 GB once they are normalised.
CHUNK = 2000
# Weights kept until they are evaluated together, at most: 150 MB.
KEPT = 256
# What is the same for all regressions of a pass: the order and pixels of its images, and how they are scored.
OF_A_PASS = ("seed", "balance", "normalize", "augment", "views", "compute_dtype", "mesh", "shard_params")
# The axes of a stack's state for `jax.vmap`: all of it is at the same step.
AXES: dict[str, Any] = {"step": None, "params": 0, "batch_stats": 0, "opt_state": 0, "epoch": 0, "average": 0}
STACKED = TrainState(**AXES)

Figures = dict[str, Any]


class Outcome(NamedTuple):
    """What became of one configuration.

    Attributes:
        config: its own.
        epochs: the figures at the end of each epoch, as in metrics.jsonl.
        logits: of every split, in the order of its records, at the best epoch; empty where it diverged.
        diverged: what was not finite; None where all was.
    """

    config: RunConfig
    epochs: list[Figures]
    logits: dict[Split, Float[np.ndarray, "..."]]
    diverged: str | None

    @property
    def best_epoch(self) -> int | None:
        """With the best validation AUROC, the last of equals, as for a run; None where it diverged."""
        if self.diverged is not None:
            return None
        return max((epoch["validation_auroc"], epoch["epoch"]) for epoch in self.epochs)[1]


@dataclass
class _Regression:
    """One configuration on its way."""

    config: RunConfig
    epochs: list[Figures] = field(default_factory=list)
    best: Variables | None = None
    diverged: str | None = None

    def add(self, step: int, epoch: int, sums: Sums, logits: np.ndarray, labels: np.ndarray, params: Any) -> None:
        """Takes in the end of an epoch; keeps the weights if it is the best so far."""
        if self.diverged is not None or out_of_patience(self.epochs, after=0, patience=self.config.patience):
            return
        try:
            figures = {"epoch": epoch, **epoch_metrics(step, sums, labels=labels, logits=logits)}
        except NonFinite as stop:
            self.diverged = str(stop)
            return
        if not np.isfinite(figures["epoch_train_loss"]):
            self.diverged = f"train_loss is not finite in epoch {epoch}; lower --learning_rate"
            return
        if self.best is None or figures["validation_auroc"] >= max(e["validation_auroc"] for e in self.epochs):
            self.best = {"params": params, "batch_stats": {}}
        self.epochs.append(figures)


class _Ended(NamedTuple):
    """The end of an epoch of a stack, not evaluated yet; the trees have the regressions as their first axis."""

    regressions: list[_Regression]
    step: int
    epoch: int
    params: Any
    sums: Sums


class _Stack:
    """Regressions that differ in nothing but the learning rate, and go through the images together."""

    def __init__(self, regressions: list[_Regression], dataset: Dataset, chunk: int, placement: Placement) -> None:
        config = regressions[0].config
        labels = dataset.labels["train"]
        self._placement = placement
        self.regressions, self._size, self._chunk = regressions, config.batch_size, chunk
        self._per_epoch = steps_per_epoch(len(labels), self._size)
        self._end = self._per_epoch * config.epochs
        self.images = self._end * self._size
        self._rates = jnp.array([each.config.learning_rate for each in regressions], jnp.float32)
        model = MODELS[config.model](config)
        shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=(1, *IMAGE_SHAPE)))
        trainable = model.trainable(shapes["params"])
        weights = class_weights(config.balance, labels)
        normalize = _as_they_are if _normalised_once(config) else _normalizer(config, dataset)

        share = rate_share(config, steps=self._end, per_epoch=self._per_epoch)

        def step(state: TrainState, batch: DeviceBatch, rate: Float[Array, ""]) -> TrainState:
            optimizer = build_optimizer(config, trainable, share=share, learning_rate=rate)
            return train_step(model, optimizer, normalize, config, class_weights=weights)(state, batch)[0]

        steps = jax.vmap(step, in_axes=(STACKED, None, 0), out_axes=STACKED)

        def advance(state: TrainState, images: DeviceBatch, first: Int[Array, ""], last: Int[Array, ""]) -> TrainState:
            def body(i: Int[Array, ""], state: TrainState) -> TrainState:
                batch = {k: jax.lax.dynamic_slice_in_dim(v, i * self._size, self._size) for k, v in images.items()}
                return steps(state, placement.shared(batch), self._rates)

            return jax.lax.fori_loop(first, last, body, state)

        self._advance = placement.jit(advance, out=placement.everywhere_sharding, donate=(0,))
        optimizer = build_optimizer(config, trainable, share=share)
        first = initial_state(
            model, optimizer, seed=config.seed, input_shape=(1, *IMAGE_SHAPE), averaged=config.ema > 0
        )
        self._state = placement.everywhere(self._stacked(first)._replace(step=first.step))

    def train_on(self, images: DeviceBatch, position: int) -> Iterator[_Ended]:
        """Goes through a chunk, which begins at that position in the endless order; gives the epochs that end in it."""
        begin = step = position // self._size
        stop = min(begin + self._chunk // self._size, self._end)
        while step < stop:
            until = min(stop, step - step % self._per_epoch + self._per_epoch)
            steps = self._placement.everywhere((np.int32(step - begin), np.int32(until - begin)))
            self._state = self._advance(self._state, images, *steps)
            step = until
            if step % self._per_epoch == 0:
                params = jax.tree.map(
                    jnp.copy, self._state.variables["params"]
                )  # the state itself is donated to the next step
                yield _Ended(self.regressions, step, step // self._per_epoch, params, self._state.epoch)
                none = self._placement.everywhere(self._stacked(no_sums()))
                self._state = self._state._replace(epoch=none)

    def _stacked(self, tree: Any) -> Any:
        return jax.tree.map(lambda leaf: jnp.repeat(leaf[None], len(self.regressions), axis=0), tree)


def train_stacked(configs: list[RunConfig], dataset: Dataset) -> list[Outcome]:
    """Trains logistic regressions that differ in whatever they like, but not in `epochs`.

    Those with the same `seed`, `balance`, `normalize` and `augment` share a pass over the images, as far as the least
    common multiple of their batch sizes is at most 2,000.

    Args:
        configs: of `model="logistic"`; `normalize="batch"`, where a prediction depends on the batch, is not for here.
        dataset: prepared.

    Returns:
        An outcome for each config, in their order; its figures are those of a run of its own, up to rounding.
    """
    assert all(config.model == "logistic" and config.normalize != "batch" for config in configs)
    regressions = [_Regression(config) for config in configs]
    logits: dict[int, dict[Split, Any]] = {}
    for together in _passes(regressions):
        placement = _placement(together)
        _train_pass(together, dataset, placement)
        sound = [each for each in together if each.diverged is None]
        for split in dataset.splits if sound else ():
            config, best = sound[0].config, _stack([each.best for each in sound])
            of_split = _logits(config, dataset, split, best, placement, views=config.views)
            for each, column in zip(sound, of_split.T, strict=True):
                logits.setdefault(id(each), {})[split] = column
    return [Outcome(each.config, each.epochs, logits.get(id(each), {}), each.diverged) for each in regressions]


def _placement(regressions: list[_Regression]) -> Placement:
    """The devices of a pass: those that share the batches of all its regressions equally."""
    common = math.gcd(*(each.config.batch_size for each in regressions))
    return placement_of(dataclasses.replace(regressions[0].config, batch_size=common))


def _train_pass(regressions: list[_Regression], dataset: Dataset, placement: Placement) -> None:
    config = regressions[0].config
    chunk = math.lcm(*(each.config.batch_size for each in regressions))
    chunk *= max(1, CHUNK // 2 // chunk)
    stacks = [_Stack(of_stack, dataset, chunk, placement) for of_stack in _alike(regressions)]
    chunks = -(-max(stack.images for stack in stacks) // chunk)
    batches = train_batches(
        dataset.splits["train"],
        dataset.labels["train"],
        batch_size=chunk,
        end=chunks,
        seed=config.seed,
        balance=config.balance,
    )
    normalize = placement.jit(_normalizer(config, dataset), out=placement.everywhere_sharding)
    ended: list[_Ended] = []
    for i, batch in enumerate(tqdm(batches, total=chunks, desc=f"{len(regressions)} regressions", disable=None)):
        images: dict[str, Array] = placement.everywhere(batch)
        if _normalised_once(config):
            images["image"] = normalize(images["image"], images["mask"])
        for stack in stacks:
            ended += stack.train_on(images, i * chunk)
        if i == chunks - 1 or sum(len(each.regressions) for each in ended) >= KEPT:
            _evaluate(config, dataset, ended, placement)
            ended = []


def _alike(regressions: list[_Regression]) -> list[list[_Regression]]:
    """Those that differ in nothing but the learning rate, and where they write."""
    alike: dict[RunConfig, list[_Regression]] = {}
    for each in regressions:
        alike.setdefault(dataclasses.replace(each.config, learning_rate=0.0, run_dir=""), []).append(each)
    return [*alike.values()]


def _evaluate(config: RunConfig, dataset: Dataset, ended: list[_Ended], placement: Placement) -> None:
    params = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *(each.params for each in ended))
    variables = {"params": params, "batch_stats": {}}
    columns = iter(_logits(config, dataset, "validation", variables, placement).T)
    for each in ended:
        for i, regression in enumerate(each.regressions):
            of_this = jax.tree.map(lambda leaf, i=i: leaf[i], (each.params, each.sums))
            labels = dataset.labels["validation"]
            regression.add(each.step, each.epoch, of_this[1], next(columns), labels, of_this[0])


def _logits(
    config: RunConfig, dataset: Dataset, split: Split, variables: Variables, placement: Placement, views: int = 1
) -> Float[np.ndarray, "n stack"]:
    step = evaluation_step(MODELS[config.model](config), _normalizer(config, dataset), views=views)
    stacked = placement.jit(jax.vmap(step, in_axes=(0, None), out_axes=1))
    size, source = BATCH_SIZE * placement.shares, dataset.splits[split]
    return predict(stacked, placement.everywhere(variables), source, what=split, placement=placement, batch_size=size)


def _as_they_are(images: Float[Array, "batch ..."], _: Bool[Array, " batch"]) -> Float[Array, "batch ..."]:
    return images


def _normalised_once(config: RunConfig) -> bool:
    """Whether a chunk is normalised once for all stacks; not where the steps augment it first."""
    return config.augmentation == Augmentation()


def _normalizer(config: RunConfig, dataset: Dataset) -> Normalize:
    return normalizer(inputs_of(config, channel_mean=dataset.facts.channel_mean, backbone=None))


def _stack(trees: list[Any]) -> Any:
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def _passes(regressions: list[_Regression]) -> list[list[_Regression]]:
    """Those that share a pass, pass by pass."""
    passes: dict[Any, list[list[_Regression]]] = {}
    for each in sorted(regressions, key=lambda each: each.config.batch_size, reverse=True):
        of_order = passes.setdefault(tuple(getattr(each.config, name) for name in OF_A_PASS), [])
        for together in of_order:
            if math.lcm(each.config.batch_size, *(other.config.batch_size for other in together)) <= CHUNK:
                together.append(each)
                break
        else:
            of_order.append([each])
    return [together for of_order in passes.values() for together in of_order]
