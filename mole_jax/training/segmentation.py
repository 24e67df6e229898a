"""What training a segmenter needs besides what every training has: its loss, its step and its source of records."""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, Int, UInt8

from mole_jax.augmentation import Augmentation
from mole_jax.classifier.segmenter import resized
from mole_jax.data.pairs import Pairs
from mole_jax.inputs.augment import augmented_pairs
from mole_jax.models import unet
from mole_jax.models.base import DeviceBatch, Model
from mole_jax.training.randomness import derive_key
from mole_jax.training.state import Sums, TrainState
from mole_jax.training.steps import TrainStep


class PairSource:
    """Images and masks as records of the loader: `image` is [side, side, 4], the mask (0 or 255) its last channel."""

    def __init__(self, pairs: Pairs, places: Int[np.ndarray, " n"], side: int) -> None:
        """Brings them to the size at which the network sees them.

        Args:
            pairs: the images and masks.
            places: which of them.
            side: in pixels.
        """
        small = jax.jit(lambda image, mask: jnp.concatenate([resized(image, side), resized_mask(mask, side)], axis=-1))
        self._records = np.zeros((len(places), side, side, 4), np.uint8)
        for i, place in enumerate(places):
            self._records[i] = small(pairs.images[place], pairs.masks[place])

    def __len__(self) -> int:
        """The number of records."""
        return len(self._records)

    def __getitem__(self, index: int, /) -> dict[str, Any]:
        """One record; its label says nothing."""
        return {"image": self._records[index], "label": 0}


def resized_mask(mask: Bool[Array, "height width"], side: int) -> UInt8[Array, "{side} {side} 1"]:
    """A mask, 0 or 255, as `resized` brings its image to that size; what is lesion by half or more is lesion."""
    values = jax.image.resize(mask.astype(jnp.float32), (side, side), "linear")
    return jnp.where(values >= 0.5, 255, 0).astype(jnp.uint8)[..., None]


def mask_loss(
    logits: Float[Array, "batch side side"], masks: Float[Array, "batch side side"]
) -> Float[Array, " batch"]:
    """Of each image: the mean cross-entropy of its pixels, and 1 less the soft Dice of its mask.

    Source of the Dice: Milletari, Navab and Ahmadi 2016 (arXiv:1606.04797), section 3, with plain sums below the line
    and 1 added above and below it, so that an image without lesion has one too.

    Args:
        logits: log odds of lesion.
        masks: 1 where there is lesion, else 0.
    """
    cross_entropy = optax.sigmoid_binary_cross_entropy(logits, masks).mean(axis=(1, 2))
    found = jax.nn.sigmoid(logits)
    both, sizes = (found * masks).sum(axis=(1, 2)), (found + masks).sum(axis=(1, 2))
    return cross_entropy + 1 - (2 * both + 1) / (sizes + 1)


def mask_step(model: Model, optimizer: optax.GradientTransformation, augment: Augmentation, *, seed: int) -> TrainStep:
    """Gives the pure (state, batch) -> (state, the step's mean loss), to be jitted with the state donated.

    Args:
        model: a U-Net.
        optimizer: built for its parameters.
        augment: how images and masks are changed at random.
        seed: of the draws.
    """

    def step(state: TrainState, batch: DeviceBatch) -> tuple[TrainState, Float[Array, ""]]:
        pairs = augmented_pairs(batch["image"], augment, derive_key(seed, "augment", state.step))
        masks = (pairs[..., 3] >= 128).astype(jnp.float32)

        def objective(params: Any) -> tuple[Float[Array, ""], tuple[Any, Any]]:
            variables = {"params": params, "batch_stats": state.batch_stats}
            logits, stats = model.apply(variables, unet.scaled(pairs[..., :3]), train=True)
            return mask_loss(logits, masks).mean(), (logits, stats)

        (loss, (logits, stats)), gradients = jax.value_and_grad(objective, has_aux=True)(state.params)
        updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
        images = jnp.float32(masks.shape[0])
        right = ((logits > 0) == (masks > 0)).astype(jnp.float32).mean() * images
        sums = Sums(state.epoch.loss + loss * images, state.epoch.correct + right, state.epoch.images + images)
        return TrainState(state.step + 1, optax.apply_updates(state.params, updates), stats, opt_state, sums), loss

    return step


def mask_logits(model: Model, variables: Any, batch: DeviceBatch) -> Float[Array, "batch side side"]:
    """The logits of a batch of `PairSource`, with the moving batch-norm statistics; to be jitted."""
    logits: Array = model.apply(variables, unet.scaled(batch["image"][..., :3]), train=False)[0]
    return logits


def mean_jaccard(
    found: Sequence[Bool[np.ndarray, "side side"]], truth: Sequence[Bool[np.ndarray, "side side"]]
) -> float:
    """The mean over images."""
    from mole_jax.evaluation.masks import agreement

    return float(np.mean([agreement(*both).jaccard for both in zip(found, truth, strict=True)]))
