"""Files: what one holds, and how a small one appears whole or not at all."""

import hashlib
from pathlib import Path


def write_text(path: Path, text: str) -> None:
    """Writes a text file in UTF-8, in the stead of what is there; a kill leaves the old file or the new one."""
    part = path.with_name(f"{path.name}.part")
    part.write_text(text, encoding="utf-8", newline="")
    part.replace(path)


def file_sha256(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
