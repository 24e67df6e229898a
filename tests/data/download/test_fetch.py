import json

import pytest

from mole_jax.data.download.fetch import ATTEMPTS, CHUNK, fetch
from mole_jax.errors import UserError

TABLE = b"image,MEL\n" + b"ISIC_0000001,1.0\n" * 20_000


def get(site, tmp_path, **page):
    site.put("/file.csv", **({"body": TABLE} | page))
    fetch(f"{site.base}file.csv", tmp_path / "file.csv", kind="table", pause=0)
    return (tmp_path / "file.csv").read_bytes()


def test_a_file_comes_whole_and_nothing_else_is_left(site, tmp_path):
    assert get(site, tmp_path) == TABLE
    assert [path.name for path in tmp_path.iterdir()] == ["file.csv"]


def test_a_broken_connection_goes_on_where_it_broke(site, tmp_path):
    assert get(site, tmp_path, breaks=[2 * CHUNK + 9, CHUNK]) == TABLE
    assert [asked for _, asked in site.requests] == [None, f"bytes={2 * CHUNK}-", f"bytes={3 * CHUNK}-"]


def test_more_breaks_than_attempts_are_fine_while_bytes_arrive(site, tmp_path):
    long = TABLE * ATTEMPTS
    assert get(site, tmp_path, body=long, breaks=[CHUNK] * 3 * ATTEMPTS) == long


def test_a_connection_that_stays_broken_is_given_up_and_the_next_call_goes_on(site, tmp_path):
    with pytest.raises(
        UserError, match=rf"ChunkedEncodingError, {ATTEMPTS} times.; {2 * CHUNK:,} bytes are kept in .*part"
    ):
        get(site, tmp_path, breaks=[2 * CHUNK] + [0] * ATTEMPTS)
    assert not (tmp_path / "file.csv").exists()
    site.requests.clear()
    assert get(site, tmp_path) == TABLE
    assert site.requests == [("/file.csv", f"bytes={2 * CHUNK}-")]


def test_a_server_without_ranges_sends_it_from_the_start(site, tmp_path):
    assert get(site, tmp_path, breaks=[2 * CHUNK], ranges=False) == TABLE


@pytest.mark.parametrize("etag", ['"one"', ""])
def test_another_file_under_the_address_is_not_joined_to_the_old_half(site, tmp_path, etag):
    with pytest.raises(UserError):
        get(site, tmp_path, breaks=[2 * CHUNK] + [0] * ATTEMPTS, etag=etag)
    newer = b"image,NV\n" + b"ISIC_0000002,0.0\n" * 30_000
    assert get(site, tmp_path, body=newer, etag=etag and '"two"') == newer


def test_a_complete_part_is_taken_without_asking(site, tmp_path):
    url = f"{site.base}file.csv"
    (tmp_path / "file.csv.part").write_bytes(TABLE)
    (tmp_path / "file.csv.part.json").write_text(json.dumps({"url": url, "bytes": len(TABLE), "validator": ""}))
    assert get(site, tmp_path) == TABLE
    assert site.requests == []


@pytest.mark.parametrize("about", ["", "{}", '{"url": "http://elsewhere/", "bytes": 5, "validator": ""}'])
def test_a_part_of_unknown_origin_is_not_used(site, tmp_path, about):
    (tmp_path / "file.csv.part").write_bytes(b"other")
    (tmp_path / "file.csv.part.json").write_text(about)
    assert get(site, tmp_path) == TABLE


def test_a_busy_server_is_asked_again(site, tmp_path):
    assert get(site, tmp_path, fails=ATTEMPTS - 1) == TABLE
    assert len(site.requests) == ATTEMPTS


def test_a_server_that_stays_busy_is_told_by_its_status(site, tmp_path):
    with pytest.raises(UserError, match=rf"HTTP status 503, {ATTEMPTS} times"):
        get(site, tmp_path, fails=ATTEMPTS)


def test_a_redirection_is_followed_and_resumed(site, tmp_path):
    site.put("/store", body=TABLE, breaks=[CHUNK])
    assert get(site, tmp_path, redirect="/store") == TABLE
    assert site.requests[-1] == ("/store", f"bytes={CHUNK}-")


@pytest.mark.parametrize("status", [401, 403, 404, 410])
def test_a_file_that_is_not_to_be_had_is_told_at_once(site, tmp_path, status):
    with pytest.raises(UserError, match=rf"file.csv answers with HTTP status {status} .*give --source=DIR"):
        get(site, tmp_path, status=status, body=b"<html></html>")
    assert len(site.requests) == 1
    assert list(tmp_path.iterdir()) == []


def test_less_than_the_stated_size_is_never_taken_for_whole(site, tmp_path):
    with pytest.raises(UserError, match=rf"{ATTEMPTS} times.; [\d,]+ bytes are kept"):
        get(site, tmp_path, says=len(TABLE) + 1000)
    assert not (tmp_path / "file.csv").exists()


@pytest.mark.parametrize(
    ("kind", "body", "what"),
    [
        ("zip", b"<!DOCTYPE html><html><title>Sign in</title>", "a web page instead of a zip archive"),
        ("table", b"  <html><body>Error</body></html>", "a web page instead of a table"),
        ("zip", b"<?xml version='1.0'?><Error><Code>NoSuchKey</Code></Error>", "a web page instead of a zip archive"),
        ("zip", b"image,MEL\n", "something else instead of a zip archive"),
        ("table", b"PK\x03\x04\x00\x00", "binary data instead of a table"),
    ],
)
def test_a_page_instead_of_the_file_is_refused_and_not_kept(site, tmp_path, kind, body, what):
    site.put("/file", body=body)
    with pytest.raises(UserError, match=rf"/file gave {what} \(it begins with b.*open the address in a browser"):
        fetch(f"{site.base}file", tmp_path / "file", kind=kind, pause=0)
    assert not (tmp_path / "file").exists()
    assert all(not path.stat().st_size for path in tmp_path.iterdir())


def test_an_empty_file_is_refused(site, tmp_path):
    with pytest.raises(UserError, match="gave an empty file; try again later"):
        get(site, tmp_path, body=b"")


def test_a_full_disk_is_told_before_the_transfer(site, tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(UserError, match=r"needs 0.0 GB and .* has 0.0 GB free; make room"):
        get(site, tmp_path)


def test_no_connection_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match=r"cannot download http://127.0.0.1:9/x .ConnectionError, 5 times.; 0 bytes"):
        fetch("http://127.0.0.1:9/x", tmp_path / "x", kind="zip", pause=0)
