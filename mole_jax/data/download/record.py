"""downloads.json: what each downloaded file was when it came, so that a later change is noticed."""

import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError
from mole_jax.files.digest import file_sha256
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json

RECORD: Final = "downloads.json"


@dataclass(frozen=True)
class Recorded:
    """What a file was when it came: from where, its size in bytes, its SHA-256 in hex."""

    url: str
    bytes: int
    sha256: str


def known_digest(path: Path) -> str | None:
    """Compares a file with what was recorded of it.

    Returns:
        Its SHA-256 in hex; None where nothing is recorded.

    Raises:
        UserError: the file has changed since.
    """
    recorded = _read(path.parent).get(path.name)
    if recorded is None:
        return None
    size = path.stat().st_size
    if size != recorded.bytes:
        raise _changed(path, f"{recorded.bytes:,} bytes then, {size:,} now")
    if (sha256 := file_sha256(path)) != recorded.sha256:
        raise _changed(path, f"sha256 {recorded.sha256[:12]} then, {sha256[:12]} now")
    return sha256


def record(path: Path, url: str) -> str:
    """Records size, SHA-256 and origin of a file beside it; gives the SHA-256 in hex."""
    sha256 = file_sha256(path)
    entry = {"url": url, "bytes": path.stat().st_size, "sha256": sha256}
    known = {name: dataclasses.asdict(about) for name, about in _read(path.parent).items()}
    write_json(path.with_name(RECORD), {**known, path.name: entry})
    return sha256


def _read(folder: Path) -> dict[str, Recorded]:
    path = folder / RECORD
    if not path.exists():
        return {}
    remedy = "delete it to take the files beside it as they are, or delete these too"
    read: dict[str, Recorded] = read_record(path, dict[str, Recorded], remedy=remedy)
    return read


def _changed(path: Path, how: str) -> UserError:
    return UserError(f"{path} has changed since it was downloaded ({how}); delete it, and it is fetched again")
