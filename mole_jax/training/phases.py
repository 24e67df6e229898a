"""The phases of a run: all its epochs with one model, or first a head alone and then fine-tuning."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jaxtyping import Float

from mole_jax.augmentation import Augmentation
from mole_jax.backbones.weights import Pretrained
from mole_jax.classifier.network import (
    Network,
    Stage,
    build_network,
    first_stage,
    inputs_of,
    stored_positions,
    variable_shapes,
    with_backbone,
)
from mole_jax.classifier.scoring import evaluation_step
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.loader import steps_per_epoch
from mole_jax.data.records import Split
from mole_jax.data.shards import Relabelled, Source
from mole_jax.inputs.normalize import Inputs
from mole_jax.models.base import Variables
from mole_jax.placement import OnMesh, Placement
from mole_jax.training.blocks import Tell
from mole_jax.training.clock import Clock
from mole_jax.training.device_data import belongs_on_device, from_device
from mole_jax.training.feed import Feed, from_loader
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.predict import predict
from mole_jax.training.schedules import rate_share
from mole_jax.training.state import TrainState, initial_state, state_of, take_over
from mole_jax.training.steps import class_weights, train_step
from mole_jax.training.views import sources_of


class Logits(Protocol):
    """The type of `Phase.logits`."""

    def __call__(self, split: Split, variables: Variables, *, views: int = 1) -> Float[np.ndarray, "..."]:
        """Gives the logits."""
        ...


class Phase(NamedTuple):
    """A stretch of a run's steps with one model.

    Attributes:
        begins: the number of steps before it, counted from the run's first.
        end: the number of steps after which it ends, counted from the run's first.
        stage: what its model takes: "images", or for a head alone "head" (features).
        state: the shapes and types of its train state, and where each lies.
        begin: (the best state of the phase before; None in the first phase) -> this phase's first state.
        feed: (the number of steps done, the run's clock) -> the function that does the next steps.
        logits: (split, {"params", "batch_stats"}, views) -> logit of each image in the order of its records, the mean
            over so many of its positions.
    """

    begins: int
    end: int
    stage: Stage
    state: TrainState
    begin: Callable[[Any], TrainState]
    feed: Callable[[int, Clock], Feed]
    logits: Logits


class Plan(NamedTuple):
    """A run's phases, one or two, and how its images are fed in all of them."""

    phases: list[Phase]
    inputs: Inputs

    def phase_at(self, step: int) -> Phase:
        """The phase whose state is saved at that step."""
        return next(phase for phase in self.phases if step <= phase.end)


def ends(config: RunConfig, train_images: int) -> tuple[int, ...]:
    """The numbers of steps after which the phases of a run end."""
    per_epoch = steps_per_epoch(train_images, config.batch_size)
    first = per_epoch * config.epochs
    return (first, first + per_epoch * config.finetune_epochs) if config.finetune_epochs else (first,)


def plan(
    config: RunConfig,
    dataset: Dataset,
    backbone: Pretrained | None,
    placement: Placement,
    *,
    tell: Tell = lambda _: None,
) -> Plan:
    """The phases of a run; computes the features that it needs and that are not stored yet.

    Args:
        config: the run's config.
        dataset: the prepared dataset to train on.
        backbone: the pretrained backbone, for model=transfer; None for other models.
        placement: the devices.
        tell: called with a line for people while features are computed.
    """
    inputs = inputs_of(config, channel_mean=dataset.facts.channel_mean, backbone=backbone)
    first, *second = ends(config, len(dataset.splits["train"]))
    network = build_network(config, inputs, backbone, stage=first_stage(config))
    if config.diagnosis_weight:
        known = int((dataset.diagnoses["train"] > 0).sum())
        tell(f"the diagnoses of {known:,} of {len(dataset.rows['train']):,} training images are known by group")
    phases = [_phase(config, dataset, (0, first), network, placement, tell=tell)]
    if second:
        if network.frozen and dataclasses.replace(config.augmentation, dihedral=False) != Augmentation():
            tell(f"the head learns from stored features; augment={config.augment} begins with fine-tuning")
        assert backbone is not None, "RunConfig refuses fine-tuning for models without weights"
        network = build_network(config, inputs, backbone, stage="images", unfreeze=config.unfreeze)
        phases.append(_phase(config, dataset, (first, second[0]), network, placement, fine_tuned=backbone))
    return Plan(phases, inputs)


def _phase(
    config: RunConfig,
    dataset: Dataset,
    steps: tuple[int, int],
    network: Network,
    placement: Placement,
    *,
    fine_tuned: Pretrained | None = None,
    tell: Tell = lambda _: None,
) -> Phase:
    """The phase between two numbers of steps, from the seed; or where a backbone is fine-tuned, from that and the head
    of the phase before. The optimiser begins anew: moments of the head alone are none of the backbone's.
    """
    begins, end = steps
    model, normalize = network.model, network.normalize
    labels = dataset.labels["train"]
    shapes_of_variables = variable_shapes(network)
    optimizer = build_optimizer(
        config,
        model.trainable(shapes_of_variables["params"]),
        share=rate_share(config, steps=end - begins, per_epoch=steps_per_epoch(len(labels), config.batch_size)),
        layers=fine_tuned.config.layers if fine_tuned else (),
    )
    weights = class_weights(config.balance, labels)
    stored = network.frozen is not None
    positions = stored_positions(config) if stored else 0
    step = train_step(model, optimizer, normalize, config, class_weights=weights, begins=begins, positions=positions)
    train = sources_of(network, dataset, placement, views=max(1, positions), tell=tell)["train"]
    if config.diagnosis_weight:
        train = Relabelled(train, dataset.diagnoses["train"])
    # As many images for each device as for one alone; but where a score depends on its batch, that stays what it is.
    batch_size = network.batch_size * (1 if config.normalize == "batch" else placement.shares)
    averaged = config.ema > 0

    def first_state() -> TrainState:
        return initial_state(model, optimizer, seed=config.seed, input_shape=(1, *network.shape), averaged=averaged)

    shapes = placement.shapes(jax.eval_shape(first_state))

    def begin(before: TrainState | None) -> TrainState:
        if fine_tuned is None:
            return placement.state(first_state())
        assert before is not None, "the head comes first"
        variables = take_over(before.variables, shapes_of_variables, with_backbone(fine_tuned))
        return placement.state(state_of(variables, optimizer, averaged=averaged))

    def feed(start: int, clock: Clock) -> Feed:
        if belongs_on_device(config, train):
            with clock("data"):
                return from_device(step, train, labels, config, placement=placement, shapes=shapes, start=start)
        return from_loader(
            placement.jit_step(step, shapes),
            train,
            labels,
            config,
            clock,
            placement=placement,
            start=start,
            end=end,
        )

    @functools.cache
    def evaluation(views: int) -> tuple[OnMesh, dict[Split, Source]]:
        step = evaluation_step(model, normalize, views=views, stored=stored)
        return placement.jit(step), sources_of(network, dataset, placement, views=views, tell=tell)

    def logits(split: Split, variables: Variables, *, views: int = 1) -> Float[np.ndarray, "..."]:
        evaluate, sources = evaluation(views)
        return predict(evaluate, variables, sources[split], what=split, placement=placement, batch_size=batch_size)

    return Phase(begins, end, network.stage, shapes, begin, feed, logits)
