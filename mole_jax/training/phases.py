"""What a run does from which step on: all its epochs with one model, or first a head and then fine-tuning."""

import logging
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Shaped

from mole_jax.backbones.weights import Pretrained
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.image_file import IMAGE_SHAPE
from mole_jax.data.loader import steps_per_epoch
from mole_jax.data.records import Split
from mole_jax.data.shards import Source
from mole_jax.inputs.imagenet import preprocess
from mole_jax.inputs.normalize import Normalize, normalizer
from mole_jax.models import MODELS
from mole_jax.models.base import Model, Variables
from mole_jax.models.transfer import features_of, on_features, on_images
from mole_jax.training.clock import Clock
from mole_jax.training.device_data import belongs_on_device, from_device
from mole_jax.training.feature_store import FeatureCache
from mole_jax.training.feed import Feed, from_loader
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.predict import predict
from mole_jax.training.state import TrainState, initial_state, take_over
from mole_jax.training.steps import class_weights, make_evaluation_step, train_step


class Phase(NamedTuple):
    """A stretch of a run's steps with one model.

    Attributes:
        end: the number of steps after which it ends, counted from the run's first.
        state: the shapes of its state.
        begin: (the state of the phase before, None in the first phase) -> this phase's first state.
        feed: (the number of steps done, the run's clock) -> what does the next steps.
        logits: (split, {"params", "batch_stats"}) -> of its images, in the order of its records.
    """

    end: int
    state: TrainState
    begin: Callable[[Any], TrainState]
    feed: Callable[[int, Clock], Feed]
    logits: Callable[[Split, Variables], Float[np.ndarray, "..."]]


class Network(NamedTuple):
    """A model and what it is fed with from one dataset.

    Attributes:
        model: of one phase.
        sources: of every split: images, or their stored features.
        normalize: from uint8 to float images; leaves features as they are.
        shape: of one record.
    """

    model: Model
    sources: dict[Split, Source]
    normalize: Normalize
    shape: tuple[int, ...]


def plan(config: RunConfig, dataset: Dataset, pretrained: Pretrained | None) -> list[Phase]:
    """The phases of a run, one or two; computes the feature cache where it is needed and missing.

    Args:
        config: of the run.
        dataset: prepared.
        pretrained: needed by model=transfer, and by it alone.
    """
    per_epoch = steps_per_epoch(len(dataset.splits["train"]), config.batch_size)
    end = per_epoch * config.epochs
    head = _phase(config, dataset, end, build_network(config, dataset, pretrained))
    if not config.finetune_epochs:
        return [head]
    assert pretrained is not None, "RunConfig refuses fine-tuning for models without weights"
    end += per_epoch * config.finetune_epochs
    fine = _phase(config, dataset, end, build_network(config, dataset, pretrained, fine_tuned=True))
    return [head, fine._replace(begin=lambda before: take_over(before, fine.state, _with_backbone(pretrained)))]


def build_network(
    config: RunConfig, dataset: Dataset, pretrained: Pretrained | None, *, fine_tuned: bool = False
) -> Network:
    """The network of a phase; computes the feature cache where it is needed and missing.

    Args:
        config: of the run.
        dataset: whose images it is fed with; its channel means are used where the normalisation has some.
        pretrained: needed by model=transfer, and by it alone.
        fine_tuned: the phase that also trains the backbone.
    """
    if pretrained is None:
        assert config.normalize != "weights", "RunConfig refuses it for models without weights"
        normalize = normalizer(config.normalize, channel_mean=dataset.facts.channel_mean)
        return Network(MODELS[config.model](config), dataset.splits, normalize, IMAGE_SHAPE)

    normalize = _backbone_normalizer(config, dataset, pretrained)
    settings: dict[str, Any] = {
        "dropout": config.dropout,
        "bn_momentum": config.bn_momentum,
        "dtype": config.compute_dtype,
    }
    if is_cached(config) and not fine_tuned:
        # The training set's means are part of how images are fed, and other datasets have others.
        name = f"dataset {dataset.facts.channel_mean}" if config.normalize == "dataset" else config.normalize
        cache = FeatureCache(dataset, pretrained, normalize=normalize, normalize_name=name, dtype=config.compute_dtype)
        sources = cache.sources(features_of(config.head))
        shape = next(iter(sources.values()))[0]["image"].shape
        return Network(on_features(config.head, **settings), sources, _as_float32, shape)
    unfreeze = config.unfreeze if fine_tuned else 0.0
    model = on_images(pretrained.config, config.head, unfreeze=unfreeze, backbone=pretrained.variables, **settings)
    return Network(model, dataset.splits, normalize, IMAGE_SHAPE)


def is_cached(config: RunConfig) -> bool:
    """Whether the frozen features of an image are the same each time it is drawn, and may be stored."""
    return config.feature_cache == "auto" and config.augment == "none" and config.normalize != "batch"


def phase_at(phases: list[Phase], step: int) -> Phase:
    """The phase whose state is saved at that step."""
    return next(phase for phase in phases if step <= phase.end)


def _phase(config: RunConfig, dataset: Dataset, end: int, network: Network) -> Phase:
    model, sources, normalize, _ = network
    labels = dataset.labels["train"]
    optimizer = _optimizer(config, network)
    step = train_step(model, optimizer, normalize, config, class_weights=class_weights(config.balance, labels))
    evaluation_step = make_evaluation_step(model, normalize)

    def begin(_: TrainState | None) -> TrainState:
        return first_state(config, network)

    def feed(start: int, clock: Clock) -> Feed:
        if belongs_on_device(config, sources["train"]):
            with clock("data"):
                return from_device(step, sources["train"], labels, config, start=start)
        jitted = jax.jit(step, donate_argnums=0)
        return from_loader(jitted, sources["train"], labels, config, clock, start=start, end=end)

    def logits(split: Split, variables: Variables) -> Float[np.ndarray, "..."]:
        return predict(evaluation_step, variables, sources[split], batch_size=config.batch_size, what=split)

    return Phase(end, jax.eval_shape(lambda: begin(None)), begin, feed, logits)


def first_state(config: RunConfig, network: Network) -> TrainState:
    """The state of a network before its first step, from the seed alone."""
    return initial_state(network.model, _optimizer(config, network), seed=config.seed, input_shape=(1, *network.shape))


def _optimizer(config: RunConfig, network: Network) -> optax.GradientTransformation:
    model, input_shape = network.model, (1, *network.shape)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=input_shape))
    return build_optimizer(config, model.trainable(shapes["params"]))


def _with_backbone(pretrained: Pretrained) -> Variables:
    return {kind: {"backbone": leaves} for kind, leaves in pretrained.variables.items()}


def _as_float32(features: Shaped[Array, "batch ..."], mask: Bool[Array, " batch"]) -> Float[Array, "batch ..."]:
    del mask
    return features.astype("float32")


def _backbone_normalizer(config: RunConfig, dataset: Dataset, pretrained: Pretrained) -> Normalize:
    log = logging.getLogger(__name__)
    own = pretrained.preprocessing
    if config.normalize != "weights":
        if own is not None:
            log.warning(
                "normalize=%s: the weights were trained on %s preprocessing and are fed something else, the handicap "
                "that the paper's code had; --normalize=weights feeds them rightly",
                config.normalize,
                own,
            )
        return normalizer(config.normalize, channel_mean=dataset.facts.channel_mean)
    if own is None:
        log.warning("random weights have no preprocessing of their own; torchvision's is used")
    return lambda images, mask: preprocess(images, own or "torchvision")
