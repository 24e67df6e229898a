"""Changes to an image that ask a run what its score rests on: each takes an image and where its lesion is."""

from collections.abc import Callable
from typing import Final

import cv2
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, UInt8

from mole_jax.artefacts.constancy import grey_world, shades_of_grey
from mole_jax.artefacts.image import Image224
from mole_jax.inputs.lesion import preprocessed

FRAME: Final = 12  # pixels
BLUR: Final = 4.0  # pixels, the deviation of a Gaussian: of what is smaller nothing is left
GREY: Final = 128
Change = Callable[[Image224, Bool[np.ndarray, "224 224"]], Image224]


def _hidden(how: str) -> Change:
    @jax.jit
    def apply(image: jax.Array, mask: jax.Array) -> jax.Array:
        return preprocessed(image, mask, how)

    return lambda image, mask: np.asarray(apply(jnp.asarray(image), jnp.asarray(mask)))


def _outline(image: Image224, mask: Bool[np.ndarray, "224 224"]) -> UInt8[np.ndarray, "224 224 3"]:
    """What hiding a lesion still tells: the black area, on nothing."""
    return np.where(mask[..., None], np.uint8(0), np.full_like(image, GREY))


def _blurred(image: Image224, _: Bool[np.ndarray, "224 224"]) -> UInt8[np.ndarray, "224 224 3"]:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), BLUR), np.uint8)


def _framed(image: Image224, _: Bool[np.ndarray, "224 224"]) -> UInt8[np.ndarray, "224 224 3"]:
    framed = np.zeros_like(image)
    framed[FRAME:-FRAME, FRAME:-FRAME] = image[FRAME:-FRAME, FRAME:-FRAME]
    return framed


def _frame_alone(image: Image224, _: Bool[np.ndarray, "224 224"]) -> UInt8[np.ndarray, "224 224 3"]:
    frame = image.copy()
    frame[FRAME:-FRAME, FRAME:-FRAME] = 0
    return frame


def within_frame(masks: Bool[np.ndarray, "n 224 224"]) -> Bool[np.ndarray, " n"]:
    """Which lesions end before the outermost pixels begin."""
    inside = slice(FRAME, -FRAME)
    return masks.sum(axis=(1, 2)) == masks[:, inside, inside].sum(axis=(1, 2))


HIDDEN_LESION: Final = "lesion hidden"
OUTLINE: Final = "outline of the lesion alone"
FRAME_ALONE: Final = f"outermost {FRAME} pixels alone"
CHANGES: Final[dict[str, Change]] = {
    HIDDEN_LESION: _hidden("lesion_masked_out"),
    OUTLINE: _outline,
    "box around the lesion hidden": _hidden("border_only"),
    "skin hidden": _hidden("lesion_only"),
    FRAME_ALONE: _frame_alone,
    f"outermost {FRAME} pixels hidden": _framed,
    "blurred": _blurred,
    "colours by grey world": lambda image, _: grey_world(image),
    "colours by shades of grey": lambda image, _: shades_of_grey(image),
}
