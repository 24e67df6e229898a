import hashlib

import numpy as np

from mole_jax.data.digests import CHUNK, digests, file_sha256


class Drawn:
    """More records than are read at a time; record i is an image of the value i % 7."""

    def __len__(self):
        return 2 * CHUNK + 3

    def __getitems__(self, record_keys):
        return [{"image": np.full((2, 2, 3), key % 7, np.uint8)} for key in record_keys]


def test_a_records_digest_is_the_sha256_of_its_pixels():
    expected = [hashlib.sha256(bytes([i % 7] * 12)).digest() for i in range(2 * CHUNK + 3)]
    assert digests(Drawn()) == expected


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
