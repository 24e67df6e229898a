"""Where a pixel of an augmented image comes from: every change of place is one affine map, and one resampling."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from mole_jax.augmentation import Augmentation


class Affine(NamedTuple):
    """From a place in the new image to its place in the old one: `matrix @ place + offset`, both (x, y) in pixels from
    the image's middle.
    """

    matrix: Float[Array, "2 2"]
    offset: Float[Array, "2"]


def draw_affine(how: Augmentation, side: int, key: jax.Array) -> Affine:
    """Draws one image's map: it is turned and flipped, sheared, then shown in part.

    Args:
        how: the strengths.
        side: of the square image, in pixels.
        key: of this image at this step.
    """
    keys = jax.random.split(key, 8)

    def uniform(key: jax.Array, most: float, shape: tuple[int, ...] = ()) -> Array:
        return jax.random.uniform(key, shape, minval=-most, maxval=most)

    angle = uniform(keys[0], math.radians(how.rotate))
    turn = jnp.stack([jnp.stack([jnp.cos(angle), -jnp.sin(angle)]), jnp.stack([jnp.sin(angle), jnp.cos(angle)])])
    tilt = jnp.tan(uniform(keys[1], math.radians(how.shear)))
    shear = jnp.eye(2).at[0, 1].set(tilt)
    # A part of the area with its sides in a ratio, both as Inception's crops (Szegedy et al. 2014, arXiv:1409.4842,
    # section 6) have them; where a side would be longer than the image's, it is as long.
    area = jax.random.uniform(keys[2], minval=how.crop, maxval=1.0)
    ratio = jnp.exp(uniform(keys[3], math.log(4 / 3) if how.crop < 1 else 0.0))
    part = jnp.minimum(1.0, jnp.sqrt(jnp.stack([area * ratio, area / ratio])))
    zoom = (1 + how.zoom) ** uniform(keys[4], 1.0)
    free = (1 - part) / 2 * uniform(keys[5], 1.0, (2,)) + uniform(keys[6], how.shift, (2,))
    matrix = turn @ shear
    if how.dihedral:
        matrix = draw_dihedral(keys[7]) @ matrix
    return Affine(matrix * (part * zoom)[None], matrix @ (free * side))


def draw_dihedral(key: jax.Array) -> Float[Array, "2 2"]:
    """One of the square's eight flips and quarter turns, each as probable."""
    across, down, swapped = jax.random.bernoulli(key, shape=(3,))
    signs = jnp.where(jnp.stack([across, down]), -1.0, 1.0)
    axes = jnp.where(swapped, jnp.eye(2)[::-1], jnp.eye(2))
    return signs[:, None] * axes


def resample(image: Float[Array, "side side c"], affine: Affine, size: int) -> Float[Array, "{size} {size} c"]:
    """The image at the places that the map names, between pixels by bilinear interpolation; and of another size.

    Beyond its edge the image is mirrored at the middle of its outermost pixels, so that no border appears: what scipy
    calls "mirror" and OpenCV BORDER_REFLECT_101.
    """
    side = image.shape[0]
    middle = (side - 1) / 2
    steps = (jnp.arange(size, dtype=jnp.float32) - (size - 1) / 2) * (side / size)
    (xx, xy), (yx, yy) = affine.matrix
    x = _mirrored((xx * steps)[None] + (xy * steps)[:, None] + affine.offset[0] + middle, side)
    y = _mirrored((yx * steps)[None] + (yy * steps)[:, None] + affine.offset[1] + middle, side)
    left, top = (jnp.minimum(place.astype(jnp.int32), side - 2) for place in (x, y))
    right, below = ((place - whole.astype(jnp.float32))[..., None] for place, whole in ((x, left), (y, top)))

    def at(rows: Array, columns: Array) -> Float[Array, "size size c"]:
        # XLA's CPU gather is fastest for whole pixels of floats; of packed bytes it makes four times as much work.
        return image.at[rows, columns].get(mode="promise_in_bounds")

    upper = at(top, left) * (1 - right) + at(top, left + 1) * right
    lower = at(top + 1, left) * (1 - right) + at(top + 1, left + 1) * right
    return upper * (1 - below) + lower * below


def _mirrored(place: Float[Array, "size size"], side: int) -> Float[Array, "size size"]:
    last = side - 1
    return last - jnp.abs(place - 2 * last * jnp.floor(place / (2 * last)) - last)
