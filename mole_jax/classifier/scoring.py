"""Logits of images, each exactly once and the same whatever stands beside it in its batch.

A network's batch has one size here, in training and after it. The order in which a product is summed up depends on the
size of its arrays and, at this one, on nothing else: so a photograph gets the same logit, to the last bit, alone, among
others or among the images of its own split (`tests/classifier/` keeps it; on the same device).
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Shaped, UInt8

from mole_jax.classifier.network import Network, image_batch_size
from mole_jax.inputs.augment import position
from mole_jax.inputs.normalize import Normalize
from mole_jax.models.base import DeviceBatch, Model, Variables
from mole_jax.placement import one_device

EvaluationStep = Callable[[Any, DeviceBatch], Float[Array, " batch"]]


def evaluation_step(model: Model, normalize: Normalize, *, views: int = 1, stored: bool = False) -> EvaluationStep:
    """Gives the pure (variables, batch) -> logits, with the moving batch-norm statistics; to be jitted.

    Args:
        model: of images or features.
        normalize: what it is fed with.
        views: of how many positions of an image the logits are averaged, the image as it is first; 1 to 8.
        stored: whether the batch holds features, [batch, views, ...] of several views, and no images.
    """

    def step(variables: Variables, batch: DeviceBatch) -> Float[Array, " batch"]:
        def logits(images: Array) -> Float[Array, " batch"]:
            return model.apply(variables, normalize(images, batch["mask"]), train=False)[0]

        given = batch["image"]
        if views == 1:
            return logits(given)
        seen = jnp.moveaxis(given, 1, 0) if stored else jnp.stack([position(given, which) for which in range(views)])
        return jax.lax.map(logits, seen).mean(axis=0)

    return step


def scorer(
    network: Network, variables: Variables, *, views: int = 1
) -> Callable[[UInt8[np.ndarray, "n h w 3"]], Float[np.ndarray, " n"]]:
    """Gives the function from any number of images to their logits, float32; compiled at its first call.

    On one device, wherever the variables were trained.

    Args:
        network: how images become logits.
        variables: of its model.
        views: of how many positions of an image the logits are averaged.
    """
    placement, stored = one_device(), network.frozen is not None
    step = placement.jit(evaluation_step(network.model, network.normalize, views=views, stored=stored))
    features = frozen_features(network, views=views) if stored else None
    on_device = placement.everywhere(variables)

    def of_batch(images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
        inputs = images if features is None else features(images)
        batch, mask = padded(inputs, network.batch_size)
        return np.asarray(step(on_device, placement.batch({"image": batch, "mask": mask})))[mask]

    def score(images: UInt8[np.ndarray, "n h w 3"]) -> Float[np.ndarray, " n"]:
        size = network.batch_size
        parts = [of_batch(images[start : start + size]) for start in range(0, len(images), size)]
        return np.concatenate(parts) if parts else np.zeros(0, np.float32)

    return score


def frozen_features(
    network: Network, *, views: int = 1
) -> Callable[[UInt8[np.ndarray, "n h w 3"]], Shaped[np.ndarray, "n ..."]]:
    """Gives the function from any number of images to the features that the network's head takes, as stored.

    Of several views they are [n, views, ...].
    """
    frozen = network.frozen
    assert frozen is not None, "the model takes images"
    placement = one_device()
    steps = [placement.jit(frozen._replace(position=which).features) for which in range(views)]
    variables, size = placement.everywhere(frozen.backbone.variables), image_batch_size()

    def features(images: UInt8[np.ndarray, "n h w 3"]) -> Shaped[np.ndarray, "n ..."]:
        parts = []
        for start in range(0, len(images), size):
            batch, mask = padded(images[start : start + size], size)
            given = placement.batch({"image": batch, "mask": mask})
            seen = [np.asarray(step(variables, given)[frozen.level])[mask] for step in steps]
            parts.append(seen[0] if views == 1 else np.stack(seen, axis=1))
        return np.concatenate(parts)

    return features


def padded(
    rows: Shaped[np.ndarray, "n ..."], size: int
) -> tuple[Shaped[np.ndarray, "size ..."], Bool[np.ndarray, " size"]]:
    """The rows filled up with zeros to `size`, and which of them are real."""
    batch = np.zeros((size, *rows.shape[1:]), rows.dtype)
    batch[: len(rows)] = rows
    return batch, np.arange(size) < len(rows)
