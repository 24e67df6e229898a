import hashlib

import numpy as np

from mole_jax.data.digests import digests


class Drawn:
    """Record i is an image of the value i % 7."""

    def __len__(self):
        return 20

    def __getitem__(self, index):
        return {"image": np.full((2, 2, 3), index % 7, np.uint8)}


def test_a_records_digest_is_the_sha256_of_its_pixels():
    assert digests(Drawn()) == [hashlib.sha256(bytes([i % 7] * 12)).digest() for i in range(20)]
