import hashlib

import numpy as np

from mole_jax.data.digests import CHUNK, digests


class Drawn:
    """More records than are read at a time; record i is an image of the value i % 7."""

    def __len__(self):
        return 2 * CHUNK + 3

    def __getitems__(self, record_keys):
        return [{"image": np.full((2, 2, 3), key % 7, np.uint8)} for key in record_keys]


def test_a_records_digest_is_the_sha256_of_its_pixels():
    expected = [hashlib.sha256(bytes([i % 7] * 12)).digest() for i in range(2 * CHUNK + 3)]
    assert digests(Drawn()) == expected
