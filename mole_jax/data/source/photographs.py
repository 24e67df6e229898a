"""Which files are photographs of lesions: masks, thumbnails and what programs leave behind are told by rule."""

from pathlib import Path, PurePosixPath
from typing import Final

import numpy as np
from jaxtyping import UInt8

from mole_jax.data.image_file import LoadedImage, UnusableImageError, decode_rgb, load_image
from mole_jax.vocabulary.identity import ENDINGS

# Folders of programs, in lower case, and whose they are.
PROGRAMS: Final = {"@eadir": "thumbnails of a Synology", "__macosx": "macOS' own notes"}
# What the ISIC challenges and others append to the name of a photograph for what was drawn of it.
DRAWN: Final = ("_superpixels", "_segmentation", "_mask")
CONVERT: Final = "which is not read; convert it to JPEG or PNG and prepare again"
# Of a photograph no 64 pixels have so few colours, even where most of it is black.
FEW_COLOURS: Final = 16
# A smaller picture may have two colours and be anything.
SMALLEST_MASK: Final = 16  # pixels a side
# How far JPEG moves the black and the white of a mask, of 255.
JPEG_BLUR: Final = 16


def why_no_photograph(path: str) -> str:
    """Why a file cannot be a photograph of a lesion, going by its path below the source; "" if it can."""
    *folders, name = path.split("/")
    for folder in folders:
        if folder.casefold() in PROGRAMS:
            return f"in {folder}: {PROGRAMS[folder.casefold()]}, not photographs"
        if folder.startswith("."):
            return f"in the hidden folder {folder}"
    if name.startswith(".") and not name.startswith(".."):  # "...png" is an odd name, not a hidden one
        return "hidden file"
    file = PurePosixPath(name)
    if file.suffix.lower() in ENDINGS:
        for ending in DRAWN:
            if file.stem.casefold().endswith(ending):
                return f"no photograph: its name ends in {ending}"
    return ""


def load_photograph(path: Path) -> LoadedImage:
    """Reads one file as `load_image` does, and refuses what is an image and no photograph.

    Raises:
        UnusableImageError: as `load_image`, with the name of a format that is known and not read; or the picture has
            two colours, as a mask has.
    """
    try:
        loaded = load_image(path)
    except UnusableImageError as error:
        if str(error) == "not an image" and (kind := _kind(path)):
            raise UnusableImageError(f"{kind}, {CONVERT}") from error
        raise
    if _may_be_two_valued(loaded.image) and _is_two_valued(path):
        raise UnusableImageError("no photograph: two-valued, as a mask is")
    return loaded


def _kind(path: Path) -> str:
    """The name of a format of images that is not read; "" for anything else."""
    with path.open("rb") as file:
        start = file.read(132)
    if start[128:] == b"DICM":
        return "DICOM file"
    if start.startswith((b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51")):
        return "JPEG 2000 image"
    if start[4:8] == b"ftyp":
        if start[8:12] in (b"avif", b"avis"):
            return "AVIF image"
        if start[8:12] in (b"heic", b"heix", b"hevc", b"hevx", b"heim", b"heis", b"mif1", b"msf1"):
            return "HEIC image"
    return ""


def _may_be_two_valued(image: UInt8[np.ndarray, "224 224 3"]) -> bool:
    """A first look at 64 pixels, which lets every photograph through for microseconds."""
    return len({tuple(pixel) for pixel in image[8::29, 8::29].reshape(-1, 3).tolist()}) <= FEW_COLOURS


def _is_two_valued(path: Path) -> bool:
    rgb = decode_rgb(path.read_bytes())
    if min(rgb.size) < SMALLEST_MASK:
        return False
    if (colours := rgb.getcolors(maxcolors=2)) is not None:
        return len(colours) == 2
    pixels = np.asarray(rgb)
    dark, light = pixels <= JPEG_BLUR, pixels >= 255 - JPEG_BLUR
    grey = bool((pixels.max(axis=-1) - pixels.min(axis=-1) <= JPEG_BLUR).all())
    return grey and bool((dark | light).all()) and bool(dark.any()) and bool(light.any())
