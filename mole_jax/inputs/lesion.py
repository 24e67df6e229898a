"""An image of which the lesion, or the skin around it, is hidden, blurred or cut off: what `--preprocess` says."""

from typing import Final, get_args

import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, UInt8

from mole_jax.config import HINTS
from mole_jax.inputs.geometry import Affine, resample
from mole_jax.inputs.hide import blurred

WORDS: Final[tuple[str, ...]] = get_args(HINTS["preprocess"])
# All in shares of the image's side.
BLUR: Final = 1 / 28  # deviation of the Gaussian: 8 of 224 pixels; the publication's is not known
MARGIN: Final = 1 / 10  # of skin on each side of a lesion that is cut out, of the lesion's longer side
SMALLEST: Final = 1 / 4  # what is cut out: of a smaller lesion more skin is left


def preprocessed(
    image: UInt8[Array, "side side 3"], mask: Bool[Array, "side side"], how: str
) -> UInt8[Array, "side side 3"]:
    """One image as its network is to see it. Where the mask is empty, as it is: nothing says what to hide.

    Args:
        image: 0..255.
        mask: where the lesion is.
        how: "kmeans_blur" and "background_blur" blur what is not lesion, "lesion_only" blackens it, "lesion_crop" cuts
            out the square around the lesion and enlarges it, "lesion_masked_out" blackens the lesion, "border_only"
            the whole box around it, so that not even its shape is left.

    Source: the blur, Nasr-Esfahani et al. 2016 (doi:10.1109/EMBC.2016.7590963); the last two, Bissoto et al. 2019
    (arXiv:1904.08818), "only skin" and "bounding box". Rasul et al. 2020 (doi:10.1109/TENSYMP50017.2020.9230969) show
    the lesion alone; that the rest is black is ours.
    """
    assert how in WORDS, how
    if how == "none":
        return image
    values, lesion = image.astype(jnp.float32), mask[..., None]
    if how in ("kmeans_blur", "background_blur"):
        deviation = image.shape[0] * BLUR
        values = jnp.where(lesion, values, blurred(values, jnp.float32(deviation), most=deviation))
    elif how == "lesion_only":
        values = jnp.where(lesion, values, 0.0)
    elif how == "lesion_masked_out":
        values = jnp.where(lesion, 0.0, values)
    elif how == "border_only":
        values = jnp.where(_box(mask)[..., None], 0.0, values)
    else:
        values = resample(values, _crop(mask), image.shape[0])
    return jnp.where(mask.any(), jnp.round(values).astype(jnp.uint8), image)


def _box(mask: Bool[Array, "side side"]) -> Bool[Array, "side side"]:
    """The smallest rectangle of rows and columns that holds the mask."""
    inside = []
    for line in (mask.any(axis=1), mask.any(axis=0)):
        first, last = _ends(line)
        places = jnp.arange(len(line))
        inside.append((places >= first) & (places <= last))
    return inside[0][:, None] & inside[1][None]


def _crop(mask: Bool[Array, "side side"]) -> Affine:
    """From the whole new image to the square around the lesion in the old one, which lies within that."""
    side = mask.shape[0]
    ends = [_ends(line) for line in (mask.any(axis=0), mask.any(axis=1))]  # x, then y
    longer = jnp.stack([last - first + 1 for first, last in ends]).max().astype(jnp.float32)
    length = jnp.clip(longer * (1 + 2 * MARGIN), side * SMALLEST, side)
    middles = jnp.stack([(first + last).astype(jnp.float32) / 2 for first, last in ends])
    free = (side - length) / 2
    offset = jnp.clip(middles - (side - 1) / 2, -free, free)
    return Affine(jnp.eye(2) * (length / side), offset)


def _ends(line: Bool[Array, " side"]) -> tuple[Int[Array, ""], Int[Array, ""]]:
    """The first and the last place that is True."""
    return jnp.argmax(line), len(line) - 1 - jnp.argmax(line[::-1])
