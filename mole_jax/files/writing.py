"""Small files that appear whole or not at all."""

import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from mole_jax.files.changes import remove_file, replace_file


@contextmanager
def open_whole(path: Path) -> Iterator[TextIO]:
    """Opens a text file in UTF-8 for writing; it takes its place, over what is there, when all is written.

    An error or a kill leaves what was there before.
    """
    with open_binary_whole(path) as binary:
        file = io.TextIOWrapper(binary, encoding="utf-8", newline="")
        yield file
        file.flush()
        file.detach()


@contextmanager
def open_binary_whole(path: Path) -> Iterator[BinaryIO]:
    """Opens a file for writing as `open_whole` does."""
    part = path.with_name(f".{path.name}.part")
    remove_file(part)  # what a kill has left, or a link in its place that would lead elsewhere
    try:
        with part.open("xb") as file:
            yield file
        replace_file(part, path)
    finally:
        remove_file(part)


def open_to_append(path: Path) -> TextIO:
    """Opens a text file in UTF-8 to add lines, each written at once. A link in its place is an error: it is not ours.

    Raises:
        OSError: it is a link, or cannot be written.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.fdopen(os.open(path, flags, 0o666), "w", encoding="utf-8", buffering=1)


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
