"""Drawn lesions, copies of them, and source trees that leak."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mole_jax.data.prepare.copies import Affine, apply_affine


@pytest.fixture(scope="session")
def write_image() -> Callable[..., None]:
    """write_image(path, pixels): the format by the ending."""

    def write(path: Path, pixels: np.ndarray) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)

    return write


def turned(image: np.ndarray, *, rotation: float = 0, shift=(0, 0), zoom=(1, 1), flip=(False, False)) -> np.ndarray:
    """An augmented copy."""
    return apply_affine(image, Affine(rotation, shift, zoom, flip))


@pytest.fixture(scope="session")
def kaggle_tree(tmp_path_factory, drawn, write_image) -> Path:
    """A leaky tree with split folders.

    Melanomas are PNG files named AUG_0_n, moles ISIC_n. Lesion 0 is in train and turned in test; lesion 2 in train and,
    byte for byte, in valid; lesion 4 twice in train; lesion 5 in train as a mole and, mirrored, as a melanoma.
    """
    root = tmp_path_factory.mktemp("audit") / "kaggle"

    def put(split: str, label: int, name: str, pixels: np.ndarray) -> None:
        folder, prefix = ("NotMelanoma", "ISIC") if label == 0 else ("Melanoma", "AUG_0")
        write_image(root / split / folder / f"{prefix}_{name}.png", pixels)

    for i, image in enumerate(drawn):
        put(("train_sep", "train_sep", "valid", "test")[i % 4 if i > 5 else 0], i % 2, f"{i}", image)
    put("test", 0, "900", turned(drawn[0], rotation=77, flip=(True, False)))
    put("valid", 0, "2", drawn[2])
    put("train_sep", 0, "904", turned(drawn[4], shift=(9, -14), zoom=(1.05, 0.95)))
    put("train_sep", 0, "905", turned(drawn[5], flip=(False, True)))
    return root
