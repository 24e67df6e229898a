"""A file appears whole or not at all."""

from pathlib import Path

import pytest

from mole_jax.files.digest import file_sha256, write_text


def test_the_text_stands_there_and_nothing_is_left_over(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old\n")
    write_text(path, "Größe\nsecond\r\n")
    assert path.read_bytes() == "Größe\nsecond\r\n".encode()
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def full(*_, **__):
        raise OSError("no space")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    assert path.read_text() == "old"


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
