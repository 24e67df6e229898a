"""Small files that appear whole or not at all."""

import json
from pathlib import Path
from typing import Any


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8 over what is there; a kill leaves the old file or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)


def write_json(path: Path, value: Any) -> None:
    """Writes readable, strict JSON as `write_text` does.

    Raises:
        ValueError: a number is infinite or NaN, for which JSON has no word.
    """
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n")
