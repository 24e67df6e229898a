"""A file appears whole or not at all."""

import csv
from dataclasses import dataclass
from pathlib import Path

import pytest

from mole_jax.errors import UserError
from mole_jax.files.csv_table import as_it_was, rows_as_text, write_rows
from mole_jax.files.digest import file_sha256
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json, write_text


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

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="no space"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_link_in_place_of_the_unfinished_file_is_not_followed(tmp_path):
    mine = tmp_path / "mine"
    mine.write_text("keep")
    (tmp_path / ".a.txt.part").symlink_to(mine)
    write_text(tmp_path / "a.txt", "new")
    assert mine.read_text() == "keep"
    assert (tmp_path / "a.txt").read_text() == "new"
    assert not (tmp_path / "a.txt").is_symlink()


def test_json_has_no_word_for_infinity(tmp_path):
    with pytest.raises(ValueError, match="Out of range float values"):
        write_json(tmp_path / "a.json", {"x": float("inf")})
    assert not list(tmp_path.iterdir())


def test_rows_read_back_to_the_same_texts(tmp_path):
    texts = [
        "plain",
        "a,b",
        'say "x"',
        "two\nlines",
        "bare\rreturn",
        "",
        "=1+1",
        "'=1",
        "''-x",
        "'quoted'",
        "-1.5",
        "+-",
    ]
    write_rows(tmp_path / "a.csv", ["n", "text"], enumerate(texts))
    with (tmp_path / "a.csv").open(encoding="utf-8", newline="") as file:
        assert [as_it_was(row["text"]) for row in csv.DictReader(file)] == texts
    assert rows_as_text(["n", "text"], enumerate(texts)).encode() == (tmp_path / "a.csv").read_bytes()


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-1-2", "@SUM(A1)", "\tx"])
def test_a_spreadsheet_shows_foreign_texts_and_computes_none(text):
    assert rows_as_text([], [[text]]).strip("\n") in (f"'{text}", f'"\'{text}"')
    assert rows_as_text([], [[f"a{text}", -1, "-1"]]).endswith(",-1,-1\n")


@dataclass
class Point:
    x: int
    y: float = 0.0


def test_a_record_is_read_and_checked(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('{"x": 1, "y": 2.5, "later": true}')
    assert read_record(path, Point, remedy="write it again") == Point(1, 2.5)
    for content, why in {
        '{"x": "1"}': r"Expected `int`, got `str` - at `\$.x`",
        "{}": "Object missing required field `x`",
        '{"x": 1': "Input data was truncated",
        "": "Input data was truncated",
    }.items():
        path.write_text(content)
        with pytest.raises(UserError, match=rf"a.json is damaged \({why}\); write it again"):
            read_record(path, Point, remedy="write it again")
    with pytest.raises(UserError, match=r"there is no .*b.json; write it again"):
        read_record(tmp_path / "b.json", Point, remedy="write it again")
    with pytest.raises(UserError, match=r"cannot be read \(Is a directory\); write it again"):
        read_record(tmp_path, Point, remedy="write it again")


def test_a_files_digest_is_that_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"abc")
    assert file_sha256(tmp_path / "file") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
