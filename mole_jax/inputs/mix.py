"""Images and labels of a batch mixed in pairs, each with the one before it in its batch."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from mole_jax.augmentation import Augmentation

Images = UInt8[Array, "batch side side 3"]
Targets = Float[Array, "batch ..."]  # of one class, or of several
Share = Float[Array, " batch"]


def mixed(images: Images, targets: Targets, how: Augmentation, key: jax.Array) -> tuple[Images, Targets]:
    """The images and the shares of what they show, mixed as `how` says, or as they are.

    Args:
        images: of a batch, in the random order in which it was drawn.
        targets: 1 for what an image shows, 0 for what it does not.
        how: `mixup` or `cutmix`, at most one of them.
        key: of this step.
    """
    if not how.mixup and not how.cutmix:
        return images, targets
    alpha = how.mixup or how.cutmix
    of_share, of_place = jax.random.split(key)
    share = jax.random.beta(of_share, alpha, alpha, (len(images),))
    if how.mixup:
        return mixed_up(images, targets, share)
    return mixed_patches(images, targets, share, jax.random.uniform(of_place, (len(images), 2)))


def mixed_up(images: Images, targets: Targets, share: Share) -> tuple[Images, Targets]:
    """`share` of each image and target, and the rest of the one before it.

    Source: Zhang et al. 2018 (arXiv:1710.09412).
    """
    of_image = share[:, None, None, None]
    ours = images.astype(jnp.float32)
    values = of_image * ours + (1 - of_image) * jnp.roll(ours, 1, axis=0)
    return jnp.round(values).astype(jnp.uint8), _shares(targets, share)


def mixed_patches(
    images: Images, targets: Targets, share: Share, place: Float[Array, "batch 2"]
) -> tuple[Images, Targets]:
    """Each image with a patch of the one before it, and the targets by the areas that are seen.

    Source: Yun et al. 2019 (arXiv:1905.04899): the patch may lie partly outside.

    Args:
        images: of a batch.
        targets: the shares of what they show.
        share: of the area that a patch leaves where it lies inside.
        place: of a patch's middle, row and column, 0 to 1.
    """
    side = images.shape[1]
    half = side * jnp.sqrt(1 - share)[:, None] / 2
    # A pixel is in the patch where its own middle is.
    pixels = jnp.arange(side, dtype=jnp.float32)[None] + 0.5
    rows, columns = (jnp.abs(pixels - side * place[:, i, None]) < half for i in (0, 1))
    patch = rows[:, :, None] & columns[:, None, :]
    left = 1 - patch.astype(jnp.float32).mean(axis=(1, 2))
    return (
        jnp.where(patch[..., None], jnp.roll(images, 1, axis=0), images),
        _shares(targets, left),
    )


def _shares(targets: Targets, share: Share) -> Targets:
    of_image = share.reshape(-1, *(1 for _ in targets.shape[1:]))
    return of_image * targets + (1 - of_image) * jnp.roll(targets, 1, axis=0)
