"""Small files that appear whole or not at all."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO


@contextmanager
def open_whole(path: Path) -> Iterator[TextIO]:
    """Opens a text file in UTF-8 for writing; it takes its place, over what is there, when all is written.

    An error or a kill leaves what was there before.
    """
    part = path.with_name(f".{path.name}.part")
    part.unlink(missing_ok=True)  # what a kill has left, or a link in its place that would lead elsewhere
    try:
        with part.open("x", encoding="utf-8", newline="") as file:
            yield file
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file as `open_whole` does."""
    with open_whole(path) as file:
        file.write(text)


def write_json(path: Path, value: Any) -> None:
    """Writes readable, strict JSON as `open_whole` does.

    Raises:
        ValueError: a number is infinite or NaN, for which JSON has no word.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
