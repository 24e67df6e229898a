"""The pure function that is jitted: one training step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from mole_jax.augmentation import Augmentation
from mole_jax.config import RunConfig
from mole_jax.inputs.normalize import Normalize
from mole_jax.inputs.pipeline import of_one_position, training_inputs
from mole_jax.models.base import DeviceBatch, Model, melanoma_logits
from mole_jax.training.average import moved
from mole_jax.training.losses import build_loss, of_groups, targets_of
from mole_jax.training.randomness import derive_key
from mole_jax.training.state import Sums, TrainState
from mole_jax.vocabulary.diagnoses import GROUPS

EFFECTIVE = 0.999
TrainStep = Callable[[TrainState, DeviceBatch], tuple[TrainState, Float[Array, ""]]]


def l2_penalty(params: Any, trainable: Any) -> Float[Array, ""]:
    """The sum of squares of the trained kernels and biases of dense and convolutional layers; batch norm's scale and
    bias do not count.
    """
    total = jnp.zeros((), jnp.float32)
    for name, value in params.items():
        if isinstance(value, Mapping):
            total += l2_penalty(value, trainable[name])
        elif "kernel" in params and trainable[name]:
            total += (value**2).sum()
    return total


def class_weights(balance: str, labels: Int[np.ndarray, " n"]) -> tuple[float, float]:
    """The weights of a mole's and of a melanoma's loss, 1 on average over the images.

    With balance="weights" both classes count the same in all. With "effective" each class is weighted by one over its
    effective number of images, (1 - b^n) / (1 - b): the images beyond the first thousand or so show little that is new.
    Otherwise both weights are 1.

    Source of "effective": Cui et al. 2019 (arXiv:1901.05555), with b = .999, one of theirs.
    """
    melanomas = int(labels.sum())
    counts = np.array([len(labels) - melanomas, melanomas])
    if balance == "weights":
        inverse = 1 / counts
    elif balance == "effective":
        inverse = (1 - EFFECTIVE) / (1 - EFFECTIVE**counts)
    else:
        return 1.0, 1.0
    mole, melanoma = (inverse * len(labels) / (inverse * counts).sum()).tolist()
    return mole, melanoma


def train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    normalize: Normalize,
    config: RunConfig,
    *,
    class_weights: tuple[float, float] = (1.0, 1.0),
    begins: int = 0,
    positions: int = 0,
) -> TrainStep:
    """Gives the pure (state, batch) -> (state, the step's mean loss), to be jitted with the state donated.

    Args:
        model: the model to train.
        optimizer: the optimiser, built for the model's parameters.
        normalize: turns uint8 images into normalised floats.
        config: the run's config; `augment`, the losses, `l2`, `loss_reduction`, `ema` and `seed` are read.
        class_weights: weights of a mole's and of a melanoma's loss.
        begins: the number of steps of the run before the phase that this is a step of.
        positions: of each image, in which the batch holds its stored features; 0 where it holds images.
    """
    loss_of, augment = build_loss(config), Augmentation() if positions else config.augmentation
    groups = len(GROUPS) if config.diagnosis_weight else 0
    of_mole, of_melanoma = (np.float32(weight) for weight in class_weights)

    def step(state: TrainState, batch: DeviceBatch) -> tuple[TrainState, Float[Array, ""]]:
        key, given = derive_key(config.seed, "augment", state.step), batch["image"]
        inputs, shown = training_inputs(
            of_one_position(given, key) if positions > 1 else given,
            targets_of(batch["label"], groups),
            batch["mask"],
            normalize=normalize,
            augment=augment,
            key=key,
        )
        targets = shown[:, 0]
        weights = targets * of_melanoma + (1 - targets) * of_mole

        def objective(params: Any) -> tuple[Float[Array, ""], tuple[Any, Any, Any]]:
            scores, stats = model.scores(
                {"params": params, "batch_stats": state.batch_stats},
                inputs,
                train=True,
                key=derive_key(config.seed, "dropout", state.step),
            )
            logits = melanoma_logits(scores)
            losses = loss_of(logits, targets)
            if groups:
                losses += config.diagnosis_weight * of_groups(scores[:, 1:], shown[:, 1:])
            losses *= weights
            penalty = (
                config.l2 * l2_penalty(params, model.trainable(params)) if config.l2 else jnp.zeros((), jnp.float32)
            )
            reduced = losses.sum() if config.loss_reduction == "sum" else losses.mean()
            return reduced + penalty, (losses.mean() + penalty, logits, stats)

        (_, (loss, logits, stats)), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        correct = ((logits >= 0) == (targets >= 0.5)).astype(jnp.float32)
        sums = Sums(
            state.epoch.loss + loss * targets.shape[0],
            state.epoch.correct + correct.sum(),
            state.epoch.images + targets.shape[0],
        )
        new = optax.apply_updates(state.params, updates)
        average = state.average
        if average:
            variables = {"params": new, "batch_stats": stats}
            average = moved(average, variables, decay=config.ema, steps=state.step - begins)
        return TrainState(state.step + 1, new, stats, opt_state, sums, average), loss

    return step
