"""Optimisers with Keras' arithmetic, and the mask that freezes parameters."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float

from mole_jax.config import RunConfig
from mole_jax.models.transfer import BACKBONE


def scale_by_keras_adam(b1: float = 0.9, b2: float = 0.999, eps: float = 1e-7) -> optax.GradientTransformation:
    """Adam as Keras computes it: epsilon is added to sqrt(v) *before* the bias correction, the "epsilon hat" of the
    Adam paper.

    Optax adds it after, which at the first step makes the same number about 30 times smaller.

    Source: Kingma and Ba 2015 (arXiv:1412.6980), the remark at the end of section 2.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        return optax.ScaleByAdamState(
            count=jnp.zeros([], jnp.int32),
            mu=jax.tree.map(jnp.zeros_like, params),
            nu=jax.tree.map(jnp.zeros_like, params),
        )

    def update(
        updates: optax.Updates, state: Any, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
        del params
        count = state.count + 1
        t = count.astype(jnp.float32)
        correction = jnp.sqrt(1 - b2**t) / (1 - b1**t)
        mu = jax.tree.map(lambda m, g: b1 * m + (1 - b1) * g, state.mu, updates)
        nu = jax.tree.map(lambda v, g: b2 * v + (1 - b2) * g * g, state.nu, updates)
        scaled = jax.tree.map(lambda m, v: correction * m / (jnp.sqrt(v) + eps), mu, nu)
        return scaled, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)


def build_optimizer(
    config: RunConfig,
    trainable: Any,
    *,
    share: optax.Schedule | None = None,
    layers: Sequence[str] = (),
    learning_rate: Float[Array, ""] | None = None,
) -> optax.GradientTransformation:
    """The optimiser of a run, or of one phase of it.

    Args:
        config: the run's config; `optimizer`, `learning_rate`, `clip_norm`, `weight_decay` and, for what lies under
            "backbone", `finetune_learning_rate` and `layer_decay` are read.
        trainable: a pytree of bool like the parameters; where False, the parameter never moves and has no optimiser
            state.
        share: from the number of steps done to the share of the learning rate, from `schedules.rate_share`; None: the
            whole of it at each step.
        layers: names of the backbone's layers from its input to its output, such as "layer1_0/conv1"; needed where
            `layer_decay` is not 1.
        learning_rate: replaces the config's where several are trained at once by `jax.vmap`; None: the config's.
    """
    rate = config.learning_rate if learning_rate is None else learning_rate
    clip = [optax.clip_by_global_norm(config.clip_norm)] if config.clip_norm else []
    scale = scale_by_keras_adam() if config.optimizer == "adam" else optax.identity()
    decay = [optax.add_decayed_weights(config.weight_decay, mask=_kernels)] if config.weight_decay else []
    by_layer = [_scale_by_layer(config.layer_decay, layers)] if config.layer_decay != 1 and layers else []
    rates = {"new": _descend(rate, share), "fine_tuned": _descend(config.finetune_learning_rate, share)}
    chain = optax.chain(*clip, scale, *decay, *by_layer, optax.partition(rates, _groups))
    return optax.partition({True: chain, False: optax.set_to_zero()}, trainable)


def _descend(rate: float | Float[Array, ""], share: optax.Schedule | None) -> optax.GradientTransformation:
    if share is None:
        return optax.scale(-rate)
    return optax.scale_by_schedule(lambda count: -rate * share(count))


def _scale_by_layer(decay: float, layers: Sequence[str]) -> optax.GradientTransformation:
    """Layer-wise learning-rate decay: `decay` at the backbone's first layer, 1 at its last, geometric in between.

    So the figure means the same in networks of 20 layers and of 120; what is usually given is the factor from a block
    to the next (Howard and Ruder 2018, arXiv:1801.06146, section 3.2).
    """
    last = max(1, len(layers) - 1)
    factors = {name: decay ** (1 - i / last) for i, name in enumerate(layers)}

    def factor(path: tuple[Any, ...], update: Array) -> Array:
        first, *rest = (key.key for key in path)
        return update * factors["/".join(rest[:-1])] if first == BACKBONE else update

    return optax.stateless(lambda updates, _: jax.tree_util.tree_map_with_path(factor, updates))


def _kernels(params: Any) -> Any:
    return jax.tree_util.tree_map_with_path(lambda path, _: path[-1].key == "kernel", params)


def _groups(params: Any) -> Any:
    """Which learning rate each parameter has: what pretraining gave is fine-tuned, the rest is new."""
    return {
        name: jax.tree.map(lambda _, name=name: "fine_tuned" if name == BACKBONE else "new", leaves)
        for name, leaves in params.items()
    }
