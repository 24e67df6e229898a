"""What a file tells before anybody looks at its pixels: a model must not be able to tell the class from these."""

import re
import warnings
from pathlib import Path, PurePosixPath

from PIL import Image

from mole_jax.data.image_file import FORMATS
from mole_jax.data.manifest import ManifestRow

# A number, or a text that names a kind.
Facts = dict[str, float | str]


def facts_of_row(row: ManifestRow) -> Facts:
    """What a manifest has kept of a file: its name and its size in pixels."""
    return _of_name(row.source_path) | {"width": row.width, "height": row.height}


def facts_of_file(path: Path) -> Facts:
    """What a file tells: name, size in bytes and pixels, format, JPEG tables, EXIF. Reads its header alone.

    Its folders are left out, since they may name the class, and so is its time, which copying changes.
    """
    facts = _of_name(path.name)
    try:
        facts["bytes"] = path.stat().st_size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns about harmless EXIF and TIFF tags
            with Image.open(path, formats=FORMATS) as image:
                facts |= _of_header(image)
    except Exception:  # whatever a damaged header makes Pillow raise; the pixels' reader says what is wrong with it
        return facts
    return facts


def _of_name(path: str) -> Facts:
    name = PurePosixPath(path)
    numbers = re.findall(r"\d+", name.stem)
    return {
        "extension": name.suffix.lower(),
        "name pattern": re.sub(r"\d+", "9", name.stem),
        "number in the name": float(numbers[-1][:15]) if numbers else -1.0,
    }


def _of_header(image: Image.Image) -> Facts:
    tables = getattr(image, "quantization", None) or {}
    return {
        "width": image.width,
        "height": image.height,
        "format": str(image.format),
        "colour mode": image.mode,
        "JPEG tables": str(sorted((key, tuple(table)) for key, table in tables.items())),
        "progressive JPEG": float(bool(image.info.get("progressive"))),
        "resolution": str(image.info.get("dpi", "")),
        "EXIF tags": float(len(image.getexif())),
        "software": str(image.getexif().get(0x0131, "")),
    }
