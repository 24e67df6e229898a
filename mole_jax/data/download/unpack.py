"""Unpacks a zip archive that may be hostile: nothing outside its folder, no links, no bombs."""

import shutil
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tqdm import tqdm

from mole_jax.errors import UserError


@dataclass(frozen=True)
class Limits:
    """What an archive of photographs never reaches.

    Attributes:
        entries: number of files.
        bytes: total size of the unpacked files, in bytes.
        ratio: ratio of unpacked to packed size, of the archive and of each entry above a megabyte.
    """

    entries: int = 100_000
    bytes: int = 20_000_000_000
    ratio: int = 100


LIMITS: Final = Limits()
SMALL: Final = 1_000_000


def list_entries(archive: Path, limits: Limits = LIMITS) -> dict[str, int]:
    """The files in an archive: path with "/" -> unpacked size in bytes. What macOS adds (`__MACOSX/`) is left out.

    Raises:
        UserError: it is not a complete zip archive, or a hostile one; the message names the entry and says why.
    """
    with _opened(archive) as opened:
        return {info.filename: info.file_size for info in _checked(archive, opened, limits)}


def unpack(archive: Path, folder: Path, limits: Limits = LIMITS) -> None:
    """Unpacks an archive into a folder, which is made.

    Args:
        archive: the zip file.
        folder: the folder to unpack into; what is in it when this fails is of no use.
        limits: what the archive must not exceed.

    Raises:
        UserError: as in `list_entries`, before anything is written; or an entry is damaged, or the disk is too full.
    """
    with _opened(archive) as opened:
        entries = _checked(archive, opened, limits)
        needed, free = sum(info.file_size for info in entries), _free(folder)
        if needed > free:
            raise UserError(
                f"{archive} needs {needed / 1e9:.1f} GB unpacked and {str(folder.parent)!r} has {free / 1e9:.1f} GB "
                "free; make room, or give another --data_dir"
            )
        folder.mkdir(parents=True)
        for info in tqdm(entries, unit=" files", desc=f"unpacking {archive.name}", disable=None):
            path = folder / info.filename
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                with opened.open(info) as packed, path.open("xb") as file:
                    shutil.copyfileobj(packed, file)
            except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
                raise UserError(
                    f"{archive} is damaged at its entry {info.filename!r} ({error}); delete it, and it is fetched again"
                ) from error
            except OSError as error:
                raise UserError(f"cannot write {path}: {error.strerror}") from error


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(archive)
    except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
        raise UserError(
            f"{archive} is not a whole zip archive ({error}); delete it, and it is fetched again"
        ) from error
    with opened:
        yield opened


def _checked(archive: Path, opened: zipfile.ZipFile, limits: Limits) -> list[zipfile.ZipInfo]:
    infos = opened.infolist()
    files = [info for info in infos if not info.is_dir() and not info.filename.startswith("__MACOSX/")]
    total, packed = sum(info.file_size for info in files), archive.stat().st_size
    # Entries may overlap within the file, so that each is harmless and the sum is not.
    if len(infos) > limits.entries or total > limits.bytes or total > max(SMALL, limits.ratio * packed):
        raise UserError(
            f"{archive} is refused: {len(infos):,} entries of {total:,} bytes unpacked from {packed:,} are a bomb, "
            "not photographs"
        )
    for info in infos:
        if fault := _fault(info, limits):
            raise UserError(f"{archive} is refused: its entry {info.filename!r} {fault}; get it from its publisher")
    if clash := _clash([info.filename for info in files]):
        raise UserError(f"{archive} is refused: {clash}; get it from its publisher")
    return files


def _clash(names: list[str]) -> str:
    """Two entries that would become one file, or a file and a folder of one name; "" if there are none."""
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(_same(name), name)) is not name:
            return f"its entries {other!r} and {name!r} are one file"
    for name in names:
        parts = _same(name).split("/")
        if folder := next((f for n in range(1, len(parts)) if (f := "/".join(parts[:n])) in seen), None):
            return f"its entry {seen[folder]!r} is a file and a folder"
    return ""


def _fault(info: zipfile.ZipInfo, limits: Limits) -> str:
    """Why an entry must not be unpacked, "" if it may."""
    parts = info.filename.removesuffix("/").split("/")
    kind = stat.S_IFMT(info.external_attr >> 16)
    if info.filename != info.orig_filename or any(ord(c) < 32 or c in "\\:" for c in info.filename):
        return "has a name that is no plain path"
    if any(part in ("", ".", "..") for part in parts):
        return "would leave the folder"
    if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link or a device, not a file"
    if info.flag_bits & 0x1:
        return "is encrypted"
    if info.file_size > max(SMALL, limits.ratio * info.compress_size):
        return f"unpacks to {info.file_size:,} bytes from {info.compress_size:,}: a bomb, not a photograph"
    return ""


def _same(name: str) -> str:
    """The common form of all names that some file systems take for the same."""
    return unicodedata.normalize("NFC", name).casefold()


def _free(folder: Path) -> int:
    while not folder.exists():
        folder = folder.parent
    return shutil.disk_usage(folder).free
