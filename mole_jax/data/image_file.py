"""One image file -> uint8 RGB of 224x224. Pure functions, light to import, as every worker process imports them."""

import hashlib
import io
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import ExifTags, Image, UnidentifiedImageError

IMAGE_SIZE: Final = 224
IMAGE_SHAPE: Final = (IMAGE_SIZE, IMAGE_SIZE, 3)
# What cameras and archives write. Pillow would also run Ghostscript on an EPS; a source of images needs none of that.
FORMATS: Final = ("BMP", "GIF", "JPEG", "PNG", "PPM", "TIFF", "WEBP")
MAX_FILE_BYTES: Final = 1 << 28
MAX_PIXELS: Final = 1 << 26
MAX_SIDE: Final = (1 << 16) - 1  # JPEG's and GIF's own
# libtiff's limit for the JPEG streams in a TIFF; ten are usual. Each costs a pass over the whole image, however short.
MAX_JPEG_SCANS: Final = 100
# A large image is converted to RGB in strips of so many pixels, so that memory never holds it more than twice.
STRIP_PIXELS: Final = 1 << 20
TIFF_BITS: Final = ExifTags.Base.BitsPerSample
TIFF_PHOTOMETRIC: Final = ExifTags.Base.PhotometricInterpretation
# EXIF orientation -> what turns the image upright.
UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


class UnusableImageError(Exception):
    """A file cannot become an example; the message says why in one phrase."""


class LoadedImage(NamedTuple):
    """What is kept of one file.

    Attributes:
        image: uint8 [224, 224, 3], RGB.
        sha256: SHA-256 of the file's bytes, in hex.
        width: width of the image in pixels, after its EXIF orientation is applied and before cropping.
        height: its height in pixels, at the same stage.
        mask: where the lesion is, brought to 224x224 as the image was; None where no masks were asked for.
    """

    image: UInt8[np.ndarray, "224 224 3"]
    sha256: str
    width: int
    height: int
    mask: Bool[np.ndarray, "224 224"] | None = None


def load_image(path: str | os.PathLike[str]) -> LoadedImage:
    """Reads one file once: hashes it, decodes it and brings it to 224x224.

    Raises:
        UnusableImageError: empty, too large, not an image, truncated, or of a kind that has no plain RGB.
    """
    try:
        path = Path(path)
        size = path.stat().st_size
        if size == 0:
            raise UnusableImageError("empty file")
        if size > MAX_FILE_BYTES:
            raise UnusableImageError(f"file of {size} bytes; the limit is {MAX_FILE_BYTES}")
        data = path.read_bytes()
    except OSError as error:
        raise UnusableImageError(f"cannot be read: {error.strerror}") from error
    rgb = decode_rgb(data)
    return LoadedImage(to_model_size(rgb), hashlib.sha256(data).hexdigest(), rgb.width, rgb.height)


def decode_rgb(data: bytes) -> Image.Image:
    """Decodes an image file to plain RGB, upright.

    EXIF orientation is applied, and an EXIF block that cannot be read counts as none, as in image viewers; grey,
    palette and CMYK are converted, CMYK by its colour profile where it has one; 12 and 16 bits are scaled to 8;
    transparency is laid on white, as image viewers do; of an animation the first frame is taken.

    Raises:
        UnusableImageError: not an image, truncated, a decompression bomb, or of a kind that has no plain RGB.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about harmless EXIF and TIFF tags
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _refuse_bombs(image, data)
                if image.format == "PNG":  # decoding ignores the checksums of the pixels
                    with Image.open(io.BytesIO(data), formats=("PNG",)) as unread:
                        unread.verify()
                return _to_rgb(image)
    except UnusableImageError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableImageError("not an image") from error
    except Exception as error:  # a damaged file makes Pillow's decoders raise almost anything
        raise UnusableImageError(
            f"cannot be decoded: {' '.join(str(error).split()) or type(error).__name__}"
        ) from error


def _refuse_bombs(image: Image.Image, data: bytes) -> None:
    """Refuses small files that would take gigabytes or hours to decode; called before any pixel is decoded."""
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise UnusableImageError(f"{width}x{height} pixels; the limit is {MAX_PIXELS} in all and {MAX_SIDE} a side")
    # Within a scan's data the byte FF is always followed by 00 or a restart marker.
    if image.format in ("JPEG", "MPO") and (scans := data.count(b"\xff\xda")) > MAX_JPEG_SCANS:
        raise UnusableImageError(f"{scans} JPEG scans; the limit is {MAX_JPEG_SCANS}")


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "F":
        raise UnusableImageError("floating-point pixels have no agreed range")
    image.load()
    tags = getattr(image, "tag_v2", {})
    # Not Pillow's `exif_transpose`, which also rewrites the EXIF block and fails where that cannot be done.
    method = UPRIGHT.get(_orientation(image))
    upright = image if method is None else image.transpose(method)
    if upright.mode == "RGB" and not upright.has_transparency_data:
        return upright
    width, height = upright.size
    rgb = np.empty((height, width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // width)
    for top in range(0, height, rows):
        strip = upright.crop((0, top, width, min(top + rows, height)))
        rgb[top : top + rows] = _deep_grey(strip, tags) if strip.mode.startswith("I") else _strip_to_rgb(strip)
    return Image.fromarray(rgb)


def _orientation(image: Image.Image) -> int:
    try:
        return int(image.getexif().get(ExifTags.Base.Orientation, 1))
    except Exception:  # whatever Pillow stumbles over in a damaged block
        return 1


def _deep_grey(image: Image.Image, tags: Mapping[int, Any]) -> UInt8[np.ndarray, "height width 1"]:
    """Grey of up to 16 bits, scaled to 8. Pillow leaves 12 bits as they are, and black and white as TIFF has them."""
    bits, white_is_zero = tags.get(TIFF_BITS, (16,))[0], tags.get(TIFF_PHOTOMETRIC) == 0
    full = (1 << min(bits, 16)) - 1
    values = np.asarray(image).astype(np.int64)
    if values.min() < 0 or values.max() > full:
        raise UnusableImageError(f"pixel values beyond {min(bits, 16)} bits")
    return (((full - values if white_is_zero else values) * 255 + full // 2) // full).astype(np.uint8)[..., None]


def _strip_to_rgb(image: Image.Image) -> UInt8[np.ndarray, "height width 3"]:
    if image.mode == "CMYK" and (profile := image.info.get("icc_profile")):
        from PIL import ImageCms

        srgb = ImageCms.createProfile("sRGB")
        converted = ImageCms.profileToProfile(image, io.BytesIO(profile), srgb, outputMode="RGB")
        assert converted is not None, "not in place"
        return np.asarray(converted)
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        return np.asarray(Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba).convert("RGB"))
    return np.asarray(image.convert("RGB"))


def to_model_size(rgb: Image.Image) -> UInt8[np.ndarray, "224 224 3"]:
    """Brings an image to 224x224.

    224x224 stays as it is. 600x450, HAM10000's own size (either way up), is halved over its central 448x448, as the
    paper does: the mean of every 2x2 block, exact, halves rounded up. Anything else is cropped to its largest central
    square and resized with Pillow's anti-aliased bicubic.
    """
    return np.asarray(_sized(rgb))


def mask_to_model_size(mask: Bool[np.ndarray, "height width"]) -> Bool[np.ndarray, "224 224"]:
    """Brings a mask to 224x224 as `to_model_size` does an image; what is lesion by half or more is lesion."""
    return np.asarray(_sized(Image.fromarray(mask.astype(np.uint8) * 255))) >= 128


def _sized(image: Image.Image) -> Image.Image:
    if image.size == (IMAGE_SIZE, IMAGE_SIZE):
        return image
    if set(image.size) == {600, 450}:
        return centre_crop(image, 2 * IMAGE_SIZE).reduce(2)
    square = centre_crop(image, min(image.size))
    return square.resize((IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC)


def centre_crop(image: Image.Image, side: int) -> Image.Image:
    """The central square; where the remainder is odd, the extra pixel is cut at the bottom and the right."""
    if image.size == (side, side):
        return image
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.crop((left, top, left + side, top + side))
