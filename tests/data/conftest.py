"""Small source trees."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

COLUMNS = ("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization")


@pytest.fixture
def write_image() -> Callable[..., Path]:
    """write_image(path, width=.., height=.., seed=..): a noise image; the format by the ending."""

    def write(path: Path, *, width: int = 40, height: int = 30, seed: int = 0) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = np.random.default_rng([seed, *path.name.encode("utf-8", "surrogateescape")])
        Image.fromarray(pixels.integers(0, 256, (height, width, 3), np.uint8)).save(path)
        return path

    return write


@pytest.fixture
def write_table() -> Callable[..., Path]:
    """write_table(path, rows, delimiter=","): rows of (lesion_id, image_id, dx)."""

    def write(path: Path, rows: list[tuple[str, str, str]], *, delimiter: str = ",") -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter=delimiter)
            writer.writerow(COLUMNS)
            writer.writerows([*row, "histo", "45.0" if i % 2 else "", "male", "back"] for i, row in enumerate(rows))
        return path

    return write


@pytest.fixture
def ham_source(tmp_path, write_image, write_table) -> Path:
    """A tiny HAM10000 as it is downloaded: 12 lesions of two images each, a third of them melanomas."""
    source = tmp_path / "ham"
    rows = []
    for i in range(24):
        part = source / f"HAM10000_images_part_{1 + i % 2}"
        write_image(part / f"ISIC_{i:07d}.png")
        rows.append((f"HAM_{i // 2:07d}", f"ISIC_{i:07d}", "mel" if i // 2 % 3 == 0 else "nv"))
    write_table(source / "HAM10000_metadata.csv", rows)
    return source
