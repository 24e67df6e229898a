"""The one order in which training images are prepared: augmented as bytes, mixed, then normalised."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Shaped

from mole_jax.augmentation import Augmentation
from mole_jax.inputs.augment import augmented
from mole_jax.inputs.mix import mixed
from mole_jax.inputs.normalize import Normalize


def training_inputs(
    images: Shaped[Array, "batch ..."],
    targets: Float[Array, "batch ..."],
    mask: Bool[Array, " batch"],
    *,
    normalize: Normalize,
    augment: Augmentation,
    key: jax.Array,
) -> tuple[Shaped[Array, "batch ..."], Float[Array, "batch ..."]]:
    """What a training step feeds its network, and how much of each image shows what.

    Normalisation comes last, so that what it reads from an image (its mean, say) is of the image that is fed.

    Args:
        images: uint8 [batch, height, width, 3]; or stored features, with `augment` none.
        targets: 1 for what an image shows, 0 for what it does not; of one class or of several.
        mask: False for padding.
        normalize: from bytes to floats.
        augment: how images are changed at random.
        key: of this step, for the draws.
    """
    images, targets = changed_images(images, targets, augment, key)
    return normalize(images, mask), targets


def changed_images(
    images: Shaped[Array, "batch ..."], targets: Float[Array, "batch ..."], augment: Augmentation, key: jax.Array
) -> tuple[Shaped[Array, "batch ..."], Float[Array, "batch ..."]]:
    """Images and targets after all random changes, those of one image first, then those of two."""
    if augment == Augmentation():
        return images, targets
    images = augmented(images, augment, key)
    return mixed(images, targets, augment, jax.random.fold_in(key, len(images)))


def of_one_position(features: Shaped[Array, "batch positions ..."], key: jax.Array) -> Shaped[Array, "batch ..."]:
    """The features of one of each image's positions, each as probable: `dihedral` for a network that is frozen.

    Args:
        features: stored, of images in several positions.
        key: of this step.
    """
    batch, positions = features.shape[:2]
    return features[jnp.arange(batch), jax.random.randint(key, (batch,), 0, positions)]
