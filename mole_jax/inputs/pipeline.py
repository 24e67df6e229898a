"""The one order in which training images are prepared: augmented as bytes, then normalised."""

import jax
from jaxtyping import Array, Bool, Shaped

from mole_jax.inputs.augment import Augmentation, augmented
from mole_jax.inputs.normalize import Normalize


def training_inputs(
    images: Shaped[Array, "batch ..."],
    mask: Bool[Array, " batch"],
    *,
    normalize: Normalize,
    augment: Augmentation,
    key: jax.Array,
) -> Shaped[Array, "batch ..."]:
    """What a training step feeds its network.

    Normalisation comes last, so that what it reads from an image (its mean, say) is of the image that is fed.

    Args:
        images: uint8 [batch, height, width, 3]; or stored features, which are never augmented.
        mask: False for padding.
        normalize: from bytes to floats.
        augment: how images are changed at random.
        key: of this step, for the draws.
    """
    if augment != "none":
        images = augmented(images, augment, key)
    return normalize(images, mask)
