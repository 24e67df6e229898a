"""What a file holds, in a few hex digits."""

import hashlib
from pathlib import Path


def file_md5(path: Path) -> str:
    """The MD5 of a file's bytes, in hex: against damage, where a publisher gives nothing better."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def file_sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
