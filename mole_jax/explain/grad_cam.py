"""Grad-CAM and Grad-CAM++: the channels of one feature map, weighted by what they do to the logit."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from mole_jax.explain.explained import Explained, Images, Maps, some_at_a_time
from mole_jax.explain.modules import with_change
from mole_jax.models.base import Model, Variables

Map = Float[Array, "n rows columns channels"]
Weights = Float[Array, "n channels"]


def grad_cam(explained: Explained, fed: Images) -> Maps:
    """Where the feature map `explained.layer` speaks for melanoma: its channels weighted by their mean derivative.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2; enlarged bilinearly.
    """
    return _weighted(explained, fed, mean_derivative)


def grad_cam_plus_plus(explained: Explained, fed: Images) -> Maps:
    """`grad_cam` with weights that also count small parts of the map.

    Source: Chattopadhyay et al. 2018, arXiv:1710.11063, equations 10 to 13 and 19.
    """
    return _weighted(explained, fed, weighted_derivative)


def mean_derivative(features: Map, derivative: Map) -> Weights:
    """Grad-CAM's weight of each channel."""
    del features
    return derivative.mean(axis=(1, 2))


def weighted_derivative(features: Map, derivative: Map) -> Weights:
    """Grad-CAM++'s weight of each channel, for the exponential of the logit, whose own factor cancels."""
    square = derivative**2
    below = 2 * square + features.sum(axis=(1, 2), keepdims=True) * derivative * square
    share = jnp.where(below == 0, 0, square / jnp.where(below == 0, 1, below))
    return (share * jax.nn.relu(derivative)).sum(axis=(1, 2))


def _weighted(explained: Explained, fed: Images, weigh: Callable[[Map, Map], Weights]) -> Maps:
    assert explained.layer, "the network has no feature map"
    compute = _compiled(explained.model, explained.layer, weigh)
    (maps,) = some_at_a_time(lambda some: (compute(explained.variables, some),), fed)
    return np.asarray(maps)


@functools.lru_cache(maxsize=16)
def _compiled(model: Model, layer: str, weigh: Callable[[Map, Map], Weights]) -> Any:
    def maps(variables: Variables, fed: Float[Array, "n side side 3"]) -> Float[Array, "n side side"]:
        shape = jax.eval_shape(lambda: with_change(model, variables, fed, layer, lambda features: features)[1])

        def score(change: Array) -> tuple[Array, Array]:
            logits, features = with_change(model, variables, fed, layer, lambda given: given + change)
            return logits.sum(), features

        derivative, features = jax.grad(score, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
        seen = jax.nn.relu((features * weigh(features, derivative)[:, None, None, :]).sum(axis=-1))
        return jax.image.resize(seen, fed.shape[:3], "linear")

    return jax.jit(maps)
