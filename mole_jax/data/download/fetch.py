"""Fetches one file over HTTP: resumes where it broke off, and notices a web page that is not the file."""

import logging
import shutil
import time
from pathlib import Path
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import requests
from tqdm import tqdm

from mole_jax.data.download.official import Kind
from mole_jax.errors import UserError
from mole_jax.files.changes import remove_file, replace_file
from mole_jax.files.digest import file_md5
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json

# Failures in a row without a byte arriving; a file of gigabytes may break off more often than that.
ATTEMPTS: Final = 5
TIMEOUT: Final = 60.0
# Bytes of a piece: what has arrived of it is lost when the connection breaks within it.
CHUNK: Final = 1 << 16
# Busy, or broken behind a gateway: worth another try.
PASSING: Final = (408, 429, 500, 502, 503, 504)
LOG: Final = logging.getLogger(__name__)


class _Broken(Exception):
    """The transfer broke off; the message says why."""


def fetch(url: str, path: Path, *, kind: Kind, pause: float = 1.0, published: tuple[int, str] = (0, "")) -> None:
    """Downloads a file, with a progress bar on a terminal.

    What has arrived lies in `<name>.part` until it is whole; the next attempt, or the next call, asks for the rest if
    the server still offers the same file.

    Args:
        url: the file's address; redirections are followed, another host is named in the log.
        path: where to write it; the folder must exist.
        kind: what the file must be, "zip" or "table".
        pause: seconds to wait before the second attempt; doubled each time.
        published: the file's size in bytes and its MD5 in hex, as its publisher gives them; 0 and "" where unknown.

    Raises:
        UserError: no connection, no such file, another kind of file, other bytes than the published ones, or too little
            disk space.
    """
    part = path.with_name(f"{path.name}.part")
    failed, furthest = 0, _size(part)
    with requests.Session() as session:
        while True:
            try:
                _transfer(session, url, part, kind)
                break
            except (_Broken, requests.ConnectionError, requests.Timeout, requests.exceptions.ChunkedEncodingError) as e:
                reason = str(e) if isinstance(e, _Broken) else type(e).__name__
                # Starting again from nothing is no progress, or a server that is wrong about its file would never end.
                failed = 1 if _size(part) > furthest else failed + 1
                furthest = max(furthest, _size(part))
            except requests.RequestException as error:
                raise UserError(f"cannot download {url} ({type(error).__name__}: {error})") from error
            except OSError as error:
                raise UserError(
                    f"cannot write {part} ({error.strerror}); make room, or give another --data_dir"
                ) from error
            if failed == ATTEMPTS:
                raise UserError(
                    f"cannot download {url} ({reason}, {ATTEMPTS} times); {_size(part):,} bytes are kept in {part}: "
                    "the same command goes on from there"
                )
            LOG.warning("%s: %s at %s bytes, trying again", path.name, reason, f"{_size(part):,}")
            time.sleep(pause * 2 ** (failed - 1))
    _compare(part, url, *published)
    replace_file(part, path)
    remove_file(_about(part))


def _compare(part: Path, url: str, size: int, md5: str) -> None:
    """Compares what came with what was published; what differs is removed."""
    have = part.stat().st_size
    if size and have != size:
        how = f"{have:,} bytes, not {size:,}"
    elif md5 and (found := file_md5(part)) != md5:
        how = f"MD5 {found}, not {md5}"
    else:
        return
    remove_file(part)
    remove_file(_about(part))
    raise UserError(
        f"{url} gave another file than its publisher describes ({how}): a proxy may have changed it; it is not kept, "
        "try again on another network"
    )


def check_start(start: bytes, kind: Kind, where: str) -> None:
    """Raises UserError unless a file that starts like this can be of that kind.

    Args:
        start: the file's first bytes, at least 256 where it has so many.
        kind: what the file should be, "zip" or "table".
        where: the file's address or path, for the message.
    """
    text = start[:256].lstrip().lower()
    if text.startswith((b"<!doctype", b"<html", b"<?xml")):
        _refuse(start, where, "a web page", kind)
    if kind == "zip" and not start.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        _refuse(start, where, "something else", kind)
    if kind == "table" and b"\0" in start[:256]:
        _refuse(start, where, "binary data", kind)


def _refuse(start: bytes, where: str, what: str, kind: Kind) -> NoReturn:
    wanted = {"zip": "a zip archive", "table": "a table"}[kind]
    raise UserError(
        f"{where} gave {what} instead of {wanted} (it begins with {start[:40]!r}): the sign-in page of a network, or "
        "an error of the publisher; open the address in a browser"
    )


def _transfer(session: requests.Session, url: str, part: Path, kind: Kind) -> None:
    """Asks for what is missing and appends it; raises `_Broken` unless the file is whole then."""
    have, about = _size(part), _read_about(part)
    if about.get("url") != url:  # nothing there, or nothing is known of what is there
        have, about = 0, {}
    if have and have == about["bytes"]:  # stopped between the last byte and the new name
        return
    # If it were compressed on the way, the sizes would be those of something else.
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if about["validator"]:
            headers["If-Range"] = about["validator"]
    with session.get(url, headers=headers, stream=True, timeout=TIMEOUT) as response:
        _look_where(url, response.url)
        if response.status_code in PASSING:
            raise _Broken(f"HTTP status {response.status_code}")
        if response.status_code == 416 or (response.status_code == 206 and not _continues(response, have, about)):
            remove_file(part)
            raise _Broken("the publisher's file is another one now, from the start")
        if response.status_code not in (200, 206):
            raise UserError(
                f"{url} answers with HTTP status {response.status_code} ({response.reason}): it has moved, or is not "
                "public; download the files in a browser and give --source=DIR"
            )
        if response.status_code == 200:
            have = 0
        total = _total(response, have)
        if total is not None and total - have > (free := shutil.disk_usage(part.parent).free):
            raise UserError(
                f"{url} needs {(total - have) / 1e9:.1f} GB and {str(part.parent)!r} has {free / 1e9:.1f} GB free; "
                "make room, or give another --data_dir"
            )
        about = {"url": url, "bytes": total, "validator": _validator(response)}
        with (
            part.open("ab" if have else "wb") as file,
            tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=part.stem, disable=None) as bar,
        ):
            for chunk in response.iter_content(CHUNK):
                if not file.tell():
                    check_start(chunk, kind, url)
                    write_json(_about(part), about)
                file.write(chunk)
                bar.update(len(chunk))
    if total is not None and _size(part) != total:
        raise _Broken(f"{_size(part):,} bytes instead of {total:,}")
    if not _size(part):
        raise UserError(f"{url} gave an empty file; try again later")


def _look_where(asked: str, given: str) -> None:
    """Names another host than was asked in the log; refuses to go from https to http."""
    here, there = urlsplit(asked), urlsplit(given)
    if here.scheme == "https" != there.scheme:
        raise UserError(
            f"{asked} leads to {given}, which is not encrypted: anybody on the way could change the file; download it "
            "in a browser and give --source=DIR"
        )
    if here.hostname != there.hostname:
        LOG.info("%s is fetched from %s", asked, there.hostname)


def _continues(response: requests.Response, have: int, about: dict[str, Any]) -> bool:
    """Whether a partial answer is the rest of what is there: from the right byte on, of a file of the same length."""
    span, _, total = response.headers.get("Content-Range", "").removeprefix("bytes ").partition("/")
    return have > 0 and span.split("-")[0] == str(have) and total == str(about["bytes"])


def _total(response: requests.Response, have: int) -> int | None:
    length = response.headers.get("Content-Length")
    encoded = response.headers.get("Content-Encoding", "identity") != "identity"
    return None if length is None or encoded else have + int(length)


def _validator(response: requests.Response) -> str:
    """What tells one version of the file from another; "" where the server gives nothing reliable."""
    etag = response.headers.get("ETag", "")
    return "" if etag.startswith("W/") else etag


def _about(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _read_about(part: Path) -> dict[str, Any]:
    try:
        about: dict[str, Any] = read_record(_about(part), dict[str, Any], remedy="it is fetched from the start")
    except UserError:
        return {}
    return about if {"url", "bytes", "validator"} <= about.keys() else {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
