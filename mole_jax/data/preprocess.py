"""One image file -> uint8 RGB of 224x224. Pure functions, light to import: every worker process does."""

import hashlib
import io
import warnings
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

IMAGE_SIZE: Final = 224
# What cameras and archives write. Pillow would also run Ghostscript on an EPS; a source of images needs none of that.
FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_FILE_BYTES: Final = 1 << 28
MAX_PIXELS: Final = 1 << 26


class UnusableImageError(Exception):
    """Why a file cannot become an example, in one phrase."""


class LoadedImage(NamedTuple):
    """What is kept of one file.

    Attributes:
        image: uint8 [224, 224, 3], RGB.
        sha256: of the file's bytes, in hex.
        width: of the image in pixels, after its EXIF orientation, before cropping.
        height: likewise.
    """

    image: UInt8[np.ndarray, "224 224 3"]
    sha256: str
    width: int
    height: int


def load_image(path: Path) -> LoadedImage:
    """Reads one file once: hashes it, decodes it and brings it to 224x224.

    Raises:
        UnusableImageError: empty, too large, not an image, truncated, or of a kind that has no plain RGB.
    """
    try:
        size = path.stat().st_size
        if size == 0:
            raise UnusableImageError("empty file")
        if size > MAX_FILE_BYTES:
            raise UnusableImageError(f"file of {size} bytes; the limit is {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise UnusableImageError(f"cannot be read: {error.strerror}") from error
    rgb = decode_rgb(data)
    return LoadedImage(to_model_size(rgb), hashlib.sha256(data).hexdigest(), rgb.shape[1], rgb.shape[0])


def decode_rgb(data: bytes) -> UInt8[np.ndarray, "height width 3"]:
    """Decodes an image file to plain RGB, upright.

    EXIF orientation is applied; grey, palette and CMYK are converted; 16 bits are scaled to 8; transparency is laid on
    white, as image viewers do; of an animation the first frame is taken.

    Raises:
        UnusableImageError: not an image, truncated, a decompression bomb, or of a kind that has no plain RGB.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow remarks on harmless EXIF and TIFF tags
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                if image.width * image.height > MAX_PIXELS:
                    raise UnusableImageError(f"{image.width}x{image.height} pixels; the limit is {MAX_PIXELS} in all")
                return np.asarray(_to_rgb(ImageOps.exif_transpose(image)))
    except UnusableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableImageError("not an image") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise almost anything
        raise UnusableImageError(
            f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnusableImageError("floating-point pixels have no agreed range")
    if image.mode.startswith("I"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise UnusableImageError("pixel values beyond 16 bits")
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB")
    return image.convert("RGB")


def to_model_size(rgb: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "224 224 3"]:
    """Brings an image to 224x224.

    224x224 stays as it is. 600x450, HAM10000's own size (either way up), is halved over its central 448x448, as the
    paper does. Anything else is cropped to its largest central square and resized with Pillow's anti-aliased bicubic.
    """
    height, width, _ = rgb.shape
    if (height, width) == (IMAGE_SIZE, IMAGE_SIZE):
        return rgb
    if {height, width} == {600, 450}:
        return halve(centre_crop(rgb, 2 * IMAGE_SIZE))
    square = Image.fromarray(centre_crop(rgb, min(height, width)))
    return np.asarray(square.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC))


def centre_crop(rgb: UInt8[np.ndarray, "height width 3"], side: int) -> UInt8[np.ndarray, "side side 3"]:
    """The central square; of an odd remainder the larger part is cut at the bottom and the right."""
    top, left = (rgb.shape[0] - side) // 2, (rgb.shape[1] - side) // 2
    return rgb[top : top + side, left : left + side]


def halve(rgb: UInt8[np.ndarray, "height width 3"]) -> UInt8[np.ndarray, "height//2 width//2 3"]:
    """The mean of every 2x2 block, exact, halves rounded up. Height and width are even."""
    height, width, channels = rgb.shape
    blocks = rgb.reshape(height // 2, 2, width // 2, 2, channels)
    return ((blocks.sum(axis=(1, 3), dtype=np.uint16) + 2) // 4).astype(np.uint8)
