"""An exponential moving average of the weights, which is evaluated and kept as the classifier."""

import jax.numpy as jnp
import optax
from jaxtyping import Array, Int

from mole_jax.models.base import Variables


def moved(average: Variables, variables: Variables, *, decay: float, steps: Int[Array, ""]) -> Variables:
    """The average after a step. Batch norm's statistics are averaged too: they belong to the weights.

    The share of the old average is min(decay, (1 + steps) / (10 + steps)), so that it soon forgets the weights that
    training began with. Source: TensorFlow's `tf.train.ExponentialMovingAverage`, `num_updates`.

    Args:
        average: {"params", "batch_stats"} before the step.
        variables: {"params", "batch_stats"} after the step.
        decay: the largest share of the old average, 0 to 1.
        steps: the number of steps done since training began, this one not counted.
    """
    done = steps.astype(jnp.float32)
    share = jnp.minimum(jnp.float32(decay), (1 + done) / (10 + done))
    new: Variables = optax.incremental_update(variables, average, 1 - share)
    return new
