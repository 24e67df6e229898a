"""Which records have the same pixels."""

import hashlib
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
