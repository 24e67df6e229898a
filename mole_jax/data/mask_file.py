"""One file of a lesion mask -> where the lesion is, at the size of its image. Light to import, as `image_file` is."""

from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Bool, UInt8

from mole_jax.data.image_file import UnusableImageError, decode_rgb

# How far from black and white a mask's pixels may lie, of 255, and what share of them may lie further: resizing and
# JPEG turn edges grey.
BLUR: Final = 16
MOST_GREY: Final = 0.1


def load_mask(path: Path, *, width: int, height: int) -> Bool[np.ndarray, "{height} {width}"]:
    """Reads a mask: black, or 0, is skin and white, or 1, is lesion; grey edges are cut at 128.

    Args:
        path: of the file.
        width: of the image that it belongs to, upright, in pixels.
        height: of the same.

    Raises:
        UnusableImageError: it cannot be read, has another size, shows no lesion, or is not two-valued.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UnusableImageError(f"its mask cannot be read: {error.strerror}") from error
    try:
        rgb = decode_rgb(data)
    except UnusableImageError as error:
        raise UnusableImageError(f"its mask: {error}") from error
    if rgb.size != (width, height):
        raise UnusableImageError(
            f"its mask has {rgb.width}x{rgb.height} pixels and the image {width}x{height}: not of this image, or not "
            "cropped and resized with it"
        )
    mask = two_valued(np.asarray(rgb).max(axis=-1))
    if not mask.any():
        raise UnusableImageError("its mask is empty")
    return mask


def two_valued(grey: UInt8[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Where a grey picture says that the lesion is.

    Raises:
        UnusableImageError: its values are not those of a mask.
    """
    values = np.unique(grey).tolist()
    if len(values) == 2 and values[0] == 0:  # whatever stands for lesion: 1, 255, ...
        return grey > 0
    between = ((grey > BLUR) & (grey < 255 - BLUR)).mean()
    if between > MOST_GREY:
        raise UnusableImageError(f"its mask is not two-valued: {between:.0%} of its pixels are neither black nor white")
    if 0 < values[-1] <= BLUR:  # numbers of several things, or of nothing known
        raise UnusableImageError(f"its mask is not two-valued: its values are {', '.join(map(str, values))}")
    return grey >= 128
