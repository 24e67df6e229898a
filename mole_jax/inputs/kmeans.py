"""A lesion's mask by k-means of an image's colours with k = 2, as Nasr-Esfahani et al. (2016) found theirs."""

from typing import Final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, UInt8

STARTS: Final = 4
SEED: Final = 0
ROUNDS: Final = 100  # in which nearly all images settle; what has not is used as it stands
CENTRE: Final = 1 / 4  # side of the square in the middle that a lesion is looked for in, over the image's
EXACT: Final = 2**24 // 255  # pixels of which float32 holds the sum of a channel exactly

Colours = Float[Array, "starts 2 3"]


def kmeans_mask(image: UInt8[Array, "height width 3"]) -> Bool[Array, "height width"]:
    """Where the lesion is: the cluster of colours that holds more of the square in the middle than of the outermost
    pixels.

    So a lesion beside the middle is found where skin reaches the edge, and one that reaches the edge where it fills the
    middle. Where both clusters hold as much of the one as of the other, the darker is the lesion. An image of one
    colour has none: its mask is empty.

    Args:
        image: 0..255, of at most 65,793 pixels.

    Source: Nasr-Esfahani et al. 2016 (doi:10.1109/EMBC.2016.7590963) for k = 2. Which cluster is the lesion, and from
    which colours k-means starts, are ours.
    """
    second, centres = two_means(image, starting_colours(image))
    middle, edge = _middle(second), _edge(second)
    # The shares as whole numbers, so that equal ones are.
    more = middle.sum() * edge.size - edge.sum() * middle.size
    darker = centres[1].sum() < centres[0].sum()
    is_second = (more > 0) | ((more == 0) & darker)
    return (second == is_second) & second.any() & ~second.all()


def _middle(mask: Bool[Array, "height width"]) -> Bool[Array, "rows columns"]:
    (top, height), (left, width) = ((side // 2, max(1, round(side * CENTRE / 2))) for side in mask.shape)
    return mask[top - height : top + height, left - width : left + width]


def _edge(mask: Bool[Array, "height width"]) -> Bool[Array, " pixels"]:
    return jnp.concatenate([mask[0], mask[-1], mask[1:-1, 0], mask[1:-1, -1]])


def starting_colours(image: UInt8[Array, "height width 3"]) -> Colours:
    """The colours of pairs of pixels, which `SEED` chooses, the same places in each image of a size."""
    pixels = image.reshape(-1, 3)
    places = np.random.default_rng(SEED).integers(0, len(pixels), (STARTS, 2))
    return pixels[places].astype(jnp.float32)


def two_means(
    image: UInt8[Array, "height width 3"], starts: Colours
) -> tuple[Bool[Array, "height width"], Float[Array, "2 3"]]:
    """Lloyd's algorithm with two clusters of colours, of several starts the one with the least sum of squares.

    A cluster that loses all its pixels keeps its colour. A pixel as near to both is the first's.

    Args:
        image: 0..255, of at most 65,793 pixels.
        starts: the two colours to begin with, of each start.

    Returns:
        Which pixels are of the second cluster, and the mean colours of the two.
    """
    assert image.shape[0] * image.shape[1] <= EXACT, image.shape
    pixels = image.reshape(-1, 3).astype(jnp.float32)
    # Sums of whole numbers below 2**24 are exact, in whatever order a device takes them.
    counted = jnp.concatenate([pixels, jnp.ones((len(pixels), 1), jnp.float32)], axis=1)
    total = counted.sum(axis=0)

    def nearer_to_second(colours: Colours) -> Bool[Array, "starts pixels"]:
        across = colours[:, 1] - colours[:, 0]
        middle = (across * (colours[:, 1] + colours[:, 0])).sum(axis=1) / 2
        along = sum((across[:, i, None] * pixels[None, :, i] for i in (1, 2)), across[:, 0, None] * pixels[None, :, 0])
        return along > middle[:, None]

    def sums_of(second: Bool[Array, "starts pixels"]) -> Float[Array, "starts 2 4"]:
        of_second = second.astype(jnp.float32) @ counted
        return jnp.stack([total[None] - of_second, of_second], axis=1)

    def round_of(carry: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        colours, second, _, done = carry
        sums = sums_of(second)
        colours = jnp.where(sums[..., 3:] > 0, sums[..., :3] / jnp.maximum(sums[..., 3:], 1), colours)
        now = nearer_to_second(colours)
        return colours, now, (now != second).any(), done + 1

    def goes_on(carry: tuple[Array, Array, Array, Array]) -> Bool[Array, ""]:
        return carry[2] & (carry[3] < ROUNDS)

    begin = (starts, nearer_to_second(starts), jnp.bool_(True), jnp.int32(0))
    colours, second, _, _ = jax.lax.while_loop(goes_on, round_of, begin)
    sums = sums_of(second)
    # The sum of squares within clusters is the same total for all starts less this.
    between = ((sums[..., :3] ** 2).sum(axis=-1) / jnp.maximum(sums[..., 3], 1)).sum(axis=-1)
    best = jnp.argmax(between)
    return second[best].reshape(image.shape[:2]), colours[best]
