"""Photographs of test images as small JPEG panels, where the dataset is at hand."""

import io

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from mole_jax.data.shards import open_split
from mole_jax.report.parts import Panel
from mole_jax.runs.read import Run

QUALITY = 80


def photograph(run: Run, index: int, *, name: str) -> Panel:
    """The test image at `index` of the run's predictions, its score under it; the label alone without the dataset.

    Args:
        run: whose predictions.
        index: row of the predictions.
        name: of the panel.
    """
    test = run.test
    image_id, truth = str(test.image_id[index]), "melanoma" if test.label[index] else "not melanoma"
    facts = {key: str(column[index]) for key, column in test.metadata.items()}
    age = facts.get("age", "").removesuffix(".0")
    known = [facts.get("dx"), age and f"age {age}", facts.get("sex"), facts.get("localization")]
    label = f"{image_id}: score {test.score[index]:.3f}, truth {truth}"
    about = ", ".join(text for text in known if text)
    alt = f"Dermoscopic image {label}" + (f" ({about})" if about else "")
    record = run.images.test_rows.get(image_id)
    content = b""
    if run.images.directory is not None and record is not None:
        content = jpeg(open_split(run.images.directory, "test")[record]["image"])
    return Panel(name, alt, content, "jpeg", label + (f"; {about}" if about else ""))


def jpeg(image: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """An image as a small JPEG file."""
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()
