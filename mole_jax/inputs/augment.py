"""Random changes to training images that leave the diagnosis as it is. Runs inside the jitted step.

What is random is drawn first, for each image from its own key; what is done with the draws is not random.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Shaped, UInt8

from mole_jax.augmentation import Augmentation
from mole_jax.chunks import in_chunks
from mole_jax.inputs.color import Color, draw_color, recolored
from mole_jax.inputs.geometry import Affine, draw_affine, resample
from mole_jax.inputs.hide import blurred, cut_out


class Draw(NamedTuple):
    """What was drawn for one image; None for what is not done."""

    affine: Affine | None
    color: Color | None
    deviation: Float[Array, "*batch"] | None
    middle: Int[Array, "*batch 2"] | None


def augmented(
    images: UInt8[Array, "batch side side 3"], how: Augmentation, key: jax.Array
) -> UInt8[Array, "batch size size 3"]:
    """The images as one step's training sees them, each with a draw of its own; as large as they are, or as `how` says.

    Args:
        images: square, 0..255.
        how: which changes, and how strong.
        key: of this step; an image's draw depends on it and on the image's place in the batch alone.
    """
    return _augmented(images, how, key, changed)


def augmented_pairs(
    pairs: UInt8[Array, "batch side side 4"], how: Augmentation, key: jax.Array
) -> UInt8[Array, "batch size size 4"]:
    """Images and masks as one step's training sees them: a mask is moved as its image is, and nothing else.

    Args:
        pairs: the channels of each image, and its mask, 0 or 255, as the fourth.
        how: which changes, and how strong.
        key: as of `augmented`, whose draws an image gets here too.
    """
    return _augmented(pairs, how, key, changed_pair)


def _augmented(
    images: UInt8[Array, "batch side side c"],
    how: Augmentation,
    key: jax.Array,
    change: Callable[[Array, Draw, Augmentation], Array],
) -> UInt8[Array, "batch size size c"]:
    one_by_one = how.moves or how.colors or how.blur or how.cutout
    if how.dihedral and not how.moves:
        images = dihedral(images, key)
    if not one_by_one:
        return images
    keys = jax.vmap(lambda place: jax.random.fold_in(key, place))(jnp.arange(len(images)))
    draws = jax.vmap(lambda key: draw(how, images.shape[1], key))(keys)

    def of_chunk(chunk: tuple[Draw, Array]) -> Array:
        return jax.vmap(lambda one, image: change(image, one, how))(*chunk)

    changes: Array = in_chunks(of_chunk, (draws, images))
    return changes


def draw(how: Augmentation, side: int, key: jax.Array) -> Draw:
    """Draws one image's changes; `mix.py` has those of two images."""
    keys = jax.random.split(key, 4)
    return Draw(
        draw_affine(how, side, keys[0]) if how.moves else None,
        draw_color(how, keys[1]) if how.colors else None,
        jax.random.uniform(keys[2], maxval=how.blur) if how.blur else None,
        jax.random.randint(keys[3], (2,), 0, size_of(how, side)) if how.cutout else None,
    )


def changed(image: UInt8[Array, "side side 3"], drawn: Draw, how: Augmentation) -> UInt8[Array, "size size 3"]:
    """One image after its changes: of place and size, of colour, of sharpness, and the square that is hidden."""
    return _recoloured(_moved(image, drawn, how), drawn, how)


def changed_pair(pair: UInt8[Array, "side side 4"], drawn: Draw, how: Augmentation) -> UInt8[Array, "size size 4"]:
    """One image after its changes, with its mask after those of place; what is lesion by half or more is lesion."""
    values = _moved(pair, drawn, how)
    mask = jnp.where(values[..., 3:] >= 127.5, 255, 0).astype(jnp.uint8)
    return jnp.concatenate([_recoloured(values[..., :3], drawn, how), mask], axis=-1)


def _moved(image: UInt8[Array, "side side c"], drawn: Draw, how: Augmentation) -> Float[Array, "size size c"]:
    values = image.astype(jnp.float32)
    return values if drawn.affine is None else resample(values, drawn.affine, size_of(how, len(image)))


def _recoloured(values: Float[Array, "size size 3"], drawn: Draw, how: Augmentation) -> UInt8[Array, "size size 3"]:
    if drawn.color is not None:
        values = recolored(values, drawn.color)
    if drawn.deviation is not None:
        values = blurred(values, drawn.deviation, most=how.blur)
    if drawn.middle is not None:
        values = cut_out(values, drawn.middle, share=how.cutout)
    return jnp.round(values).astype(jnp.uint8)


def size_of(how: Augmentation, side: int) -> int:
    """The side at which training sees images of that side, in pixels."""
    return int(how.size) or side


def position(images: Shaped[Array, "*batch side side 3"], which: int) -> Shaped[Array, "*batch side side 3"]:
    """The images in one of the square's eight positions; 0 is as they are, 1 to 3 are mirrored in columns, in rows and
    in both, 4 to 7 these with rows and columns exchanged.
    """
    images = images[..., ::-1, :] if which & 1 else images
    images = images[..., ::-1, :, :] if which & 2 else images
    return images.swapaxes(-3, -2) if which & 4 else images


def turned_back(turned: Shaped[np.ndarray, "n side side *rest"], which: int) -> Shaped[np.ndarray, "n side side *rest"]:
    """Maps, or images, of images in one of the eight positions (`position`), as of the images as they were."""
    turned = turned.swapaxes(1, 2) if which & 4 else turned
    turned = turned[:, ::-1] if which & 2 else turned
    return turned[:, :, ::-1] if which & 1 else turned


def dihedral(images: Shaped[Array, "batch side side c"], key: jax.Array) -> Shaped[Array, "batch side side c"]:
    """Gives each image one of the square's eight flips and quarter turns, each as probable."""
    coins = jax.random.bernoulli(key, shape=(3, images.shape[0], 1, 1, 1))
    images = jnp.where(coins[0], images[:, ::-1], images)
    images = jnp.where(coins[1], images[:, :, ::-1], images)
    return jnp.where(coins[2], images.swapaxes(1, 2), images)
