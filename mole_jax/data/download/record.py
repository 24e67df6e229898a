"""downloads.json: what each downloaded file was when it came, so that a later change is noticed."""

import json
from pathlib import Path
from typing import Any, Final

from mole_jax.errors import UserError
from mole_jax.files.digest import file_sha256
from mole_jax.files.writing import write_text

RECORD: Final = "downloads.json"


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
    if size != recorded["bytes"]:
        raise _changed(path, f"{recorded['bytes']:,} bytes then, {size:,} now")
    if (sha256 := file_sha256(path)) != recorded["sha256"]:
        raise _changed(path, f"sha256 {recorded['sha256'][:12]} then, {sha256[:12]} now")
    return sha256


def record(path: Path, url: str) -> str:
    """Records size, SHA-256 and origin of a file beside it; gives the SHA-256 in hex."""
    sha256 = file_sha256(path)
    entry = {"url": url, "bytes": path.stat().st_size, "sha256": sha256}
    write_text(path.with_name(RECORD), json.dumps({**_read(path.parent), path.name: entry}, indent=2) + "\n")
    return sha256


def _read(folder: Path) -> dict[str, dict[str, Any]]:
    path = folder / RECORD
    if not path.exists():
        return {}
    try:
        read: dict[str, dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(
            f"{path} is not JSON ({error}); delete it to take the files beside it as they are, or delete these too"
        ) from error
    return read


def _changed(path: Path, how: str) -> UserError:
    return UserError(f"{path} has changed since it was downloaded ({how}); delete it, and it is fetched again")
