"""The pure function that is jitted: one training step."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, Int

from mole_jax.config import RunConfig
from mole_jax.inputs.normalize import Normalize
from mole_jax.inputs.pipeline import training_inputs
from mole_jax.models.base import DeviceBatch, Model
from mole_jax.training.randomness import derive_key
from mole_jax.training.state import Sums, TrainState

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
    """The weights of a mole's and of a melanoma's loss. With balance="weights" both classes count the same in all, and
    the weights are 1 on average over the images; otherwise both are 1.
    """
    if balance != "weights":
        return 1.0, 1.0
    melanomas = int(labels.sum())
    return len(labels) / (2 * (len(labels) - melanomas)), len(labels) / (2 * melanomas)


def train_step(
    model: Model,
    optimizer: optax.GradientTransformation,
    normalize: Normalize,
    config: RunConfig,
    *,
    class_weights: tuple[float, float] = (1.0, 1.0),
) -> TrainStep:
    """Gives the pure (state, batch) -> (state, the step's mean loss), to be jitted with the state donated.

    Args:
        model: the model to train.
        optimizer: the optimiser, built for the model's parameters.
        normalize: turns uint8 images into normalised floats.
        config: the run's config; `augment`, `l2`, `loss_reduction` and `seed` are read.
        class_weights: weights of a mole's and of a melanoma's loss.
    """

    def step(state: TrainState, batch: DeviceBatch) -> tuple[TrainState, Float[Array, ""]]:
        images, labels = batch["image"], batch["label"].astype(jnp.float32)
        inputs = training_inputs(
            images,
            batch["mask"],
            normalize=normalize,
            augment=config.augment,
            key=derive_key(config.seed, "augment", state.step),
        )
        weights = jnp.where(labels == 1, jnp.float32(class_weights[1]), jnp.float32(class_weights[0]))

        def objective(params: Any) -> tuple[Float[Array, ""], tuple[Any, Any, Any]]:
            logits, stats = model.apply(
                {"params": params, "batch_stats": state.batch_stats},
                inputs,
                train=True,
                key=derive_key(config.seed, "dropout", state.step),
            )
            losses = weights * optax.sigmoid_binary_cross_entropy(logits, labels)
            penalty = (
                config.l2 * l2_penalty(params, model.trainable(params)) if config.l2 else jnp.zeros((), jnp.float32)
            )
            reduced = losses.sum() if config.loss_reduction == "sum" else losses.mean()
            return reduced + penalty, (losses.mean() + penalty, logits, stats)

        (_, (loss, logits, stats)), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        correct = ((logits >= 0) == (labels == 1)).astype(jnp.float32)
        sums = Sums(
            state.epoch.loss + loss * labels.shape[0],
            state.epoch.correct + correct.sum(),
            state.epoch.images + labels.shape[0],
        )
        return TrainState(state.step + 1, optax.apply_updates(state.params, updates), stats, opt_state, sums), loss

    return step
