"""CAM, Grad-CAM and Grad-CAM++: the channels of one feature map, weighted by what they do to the logit."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.explain.explained import Explained, Images, Maps
from mole_jax.explain.modules import with_change
from mole_jax.models.base import Model, Variables

Map = Float[Array, "n rows columns channels"]
Seen = Float[Array, "n rows columns"]


def class_activation(explained: Explained, fed: Images) -> Maps:
    """The log odds that an image would have if it looked everywhere as it does at one place, less those of the average
    training image; below zero, the place speaks against melanoma.

    Nothing is left out: the mean of a map is the logit less that of the average training image. So it is where the
    logit is linear in the average of the feature map; elsewhere this method is not offered.

    Source: Zhou et al. 2016, arXiv:1512.04150, equations 1 and 2, with the batch norm of the head worked into the
    weights: its mean is what an average image has. Enlarged bilinearly.
    """
    return _enlarged(explained, fed, _beyond_the_mean)


def grad_cam(explained: Explained, fed: Images) -> Maps:
    """Where the feature map `explained.layer` speaks for melanoma: its channels weighted by their mean derivative.

    Source: Selvaraju et al. 2017, arXiv:1610.02391, equations 1 and 2; enlarged bilinearly.
    """
    return _enlarged(explained, fed, _by_mean_derivative)


def grad_cam_plus_plus(explained: Explained, fed: Images) -> Maps:
    """`grad_cam` with weights that also count small parts of the map.

    Source: Chattopadhyay et al. 2018, arXiv:1710.11063, equations 10 to 13 and 19.
    """
    return _enlarged(explained, fed, _by_weighted_derivative)


def _beyond_the_mean(variables: Variables, features: Map, derivative: Map) -> Seen:
    average = variables["batch_stats"]["head"]["bn"]["mean"].astype(features.dtype)
    return ((features - average[None, None, None]) * derivative.sum(axis=(1, 2), keepdims=True)).sum(axis=-1)


def _by_mean_derivative(variables: Variables, features: Map, derivative: Map) -> Seen:
    del variables
    return jax.nn.relu((features * derivative.mean(axis=(1, 2), keepdims=True)).sum(axis=-1))


def _by_weighted_derivative(variables: Variables, features: Map, derivative: Map) -> Seen:
    """The weights are for the exponential of the logit, whose own factor cancels."""
    del variables
    square = derivative**2
    below = 2 * square + features.sum(axis=(1, 2), keepdims=True) * derivative * square
    share = jnp.where(below == 0, 0, square / jnp.where(below == 0, 1, below))
    weights = (share * jax.nn.relu(derivative)).sum(axis=(1, 2), keepdims=True)
    return jax.nn.relu((features * weights).sum(axis=-1))


def _enlarged(explained: Explained, fed: Images, see: Callable[[Variables, Map, Map], Seen]) -> Maps:
    assert explained.layer, "the network has no feature map"
    compute = _compiled(explained.model, explained.layer, see)
    return explained.over_positions(lambda some: compute(explained.variables, some), fed)


@functools.lru_cache(maxsize=16)
def _compiled(model: Model, layer: str, see: Callable[[Variables, Map, Map], Seen]) -> Any:
    def maps(variables: Variables, fed: Float[Array, "n side side 3"]) -> Float[Array, "n side side"]:
        shape = jax.eval_shape(lambda: with_change(model, variables, fed, layer, lambda features: features)[1])

        def score(change: Array) -> tuple[Array, Array]:
            logits, features = with_change(model, variables, fed, layer, lambda given: given + change)
            return logits.sum(), features

        derivative, features = jax.grad(score, has_aux=True)(jnp.zeros(shape.shape, shape.dtype))
        return jax.image.resize(see(variables, features, derivative), fed.shape[:3], "linear")

    return jax.jit(maps)
