"""An official source on this machine: every file fetched once and verified ever after, its archives unpacked."""

import logging
from collections.abc import Mapping
from pathlib import Path, PurePosixPath
from typing import Final

from mole_jax.data.download.fetch import check_start, fetch
from mole_jax.data.download.official import OfficialSource, PublishedFile, require_licence
from mole_jax.data.download.record import known_digest, record
from mole_jax.data.download.unpack import LIMITS, Limits, list_entries, unpack
from mole_jax.errors import UserError
from mole_jax.files.folder import new_folder, publish
from mole_jax.files.lock import exclusive
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json

UNPACKED: Final = "unpacked"
MADE_FROM: Final = "made_from.json"
LOG: Final = logging.getLogger(__name__)
SOURCE: Final = "source"  # the kind of the unpacked folder


def obtain(
    official: OfficialSource,
    folder: Path,
    *,
    licence_accepted: bool,
    base: str | None = None,
    pause: float = 1.0,
    limits: Limits = LIMITS,
) -> Path:
    """Gives the folder of images and tables, for `prepare`.

    Downloads lie in `folder`, with `downloads.json` (size and SHA-256 of each as it came) beside them; a file that was
    put there by hand is taken as it is. `unpacked/source/` is what is returned, `unpacked/extra/` what comes with it.

    Args:
        official: the source to get.
        folder: the folder to keep it in.
        licence_accepted: whether the user has accepted the licence; otherwise nothing is fetched.
        base: address to fetch from instead of the publisher's; None: the publisher's.
        pause: seconds to wait before a download is tried again.
        limits: what an archive must not exceed.

    Raises:
        UserError: the licence is not accepted; or as `fetch`, `known_digest` and `unpack` say.
    """
    require_licence(official.title, official.licence, accepted=licence_accepted)
    with exclusive(
        folder,
        busy=f"another process is fetching into {str(folder)!r}; wait for it or stop it",
        otherwise="give another --data_dir",
    ):
        sha256 = {file.name: _present(file, folder, base or official.base, pause) for file in official.files}
        if not _is_unpacked(official, folder, sha256, limits):
            _unpack_all(official, folder, sha256, limits)
    return folder / UNPACKED / "source"


def count_images(source: Path) -> int:
    """How many photographs lie below a folder, judged by the endings of their names."""
    return sum(path.suffix.lower() in (".jpg", ".jpeg", ".png") for path in source.rglob("*"))


def _present(file: PublishedFile, folder: Path, base: str, pause: float) -> str:
    """Fetches or verifies one file; gives its SHA-256."""
    path, url = folder / file.name, base + file.address
    if not path.exists():
        fetch(url, path, kind=file.kind, pause=pause, published=(file.size, file.md5))
        if not file.md5:
            LOG.info("%s: its publisher gives no digest, so that it was compared with nothing; it is from now on", path)
        return record(path, url)
    if (known := known_digest(path)) is not None:
        return known
    with path.open("rb") as opened:
        check_start(opened.read(256), file.kind, str(path))
    return record(path, url)


def _contents(official: OfficialSource, folder: Path, limits: Limits) -> dict[str, int]:
    """All files of `unpacked/`: path relative to it -> size in bytes."""
    contents: dict[str, int] = {}
    for file in official.files:
        where, path = _place(file), folder / file.name
        if file.kind == "zip":
            contents |= {f"{where}/{name}": size for name, size in list_entries(path, limits).items()}
        else:
            contents[where] = path.stat().st_size
    return contents


def place(file: PublishedFile) -> str:
    """Where a file's content lies below a download's folder."""
    return f"{UNPACKED}/{_place(file)}"


def _place(file: PublishedFile) -> str:
    room = "source" if file.of_source else "extra"
    return f"{room}/{PurePosixPath(file.name).stem if file.kind == 'zip' else file.name}"


def _is_unpacked(official: OfficialSource, folder: Path, sha256: Mapping[str, str], limits: Limits) -> bool:
    """Whether `unpacked/` was made of these very files and still has everything, at its full size."""
    unpacked = folder / UNPACKED
    try:
        if read_record(unpacked / MADE_FROM, dict[str, str], remedy="it is unpacked again") != dict(sha256):
            return False
        return all(
            (unpacked / name).stat().st_size == size for name, size in _contents(official, folder, limits).items()
        )
    except (OSError, UserError):
        return False


def _unpack_all(official: OfficialSource, folder: Path, sha256: Mapping[str, str], limits: Limits) -> None:
    with new_folder(folder / UNPACKED, SOURCE, otherwise="move it elsewhere") as incomplete:
        for file in official.files:
            target = incomplete / _place(file)
            if file.kind == "zip":
                unpack(folder / file.name, target, limits)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes((folder / file.name).read_bytes())
        write_json(incomplete / MADE_FROM, dict(sha256))
        publish(incomplete, folder / UNPACKED, SOURCE)
