"""Which files have the same bytes, which records the same pixels."""

import hashlib
from pathlib import Path
from typing import Final

import numpy as np

from mole_jax.data.shards import Source

CHUNK: Final = 64  # images at a time


def digests(images: Source) -> list[bytes]:
    """The SHA-256 of each record's pixels."""
    result = []
    for start in range(0, len(images), CHUNK):
        records = images.__getitems__(list(range(start, min(start + CHUNK, len(images)))))
        result += [hashlib.sha256(np.ascontiguousarray(record["image"]).data).digest() for record in records]
    return result


def file_sha256(path: Path) -> str:
    """Of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
