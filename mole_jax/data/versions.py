"""The versions of a dataset, `<data_dir>/<name>/1.0.0`, `1.0.1`, ...: each is written once and never changed.

Preparing a dataset again makes the next version. The newest is the one that is read. Whoever reads a version holds it,
and an older one is removed once nobody does.
"""

import fcntl
import os
import re
import weakref
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError
from mole_jax.files.changes import SUMS, is_ours
from mole_jax.files.folder import remove_superseded

DATASET: Final = "dataset"  # the kind of its folder
AGAIN: Final = "copy the dataset again, or prepare it again with --overwrite"
_FIRST: Final = "1.0.0"
_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")


def check_name(name: str) -> None:
    """Raises UserError unless `name` can be a dataset's: it is a folder's name, and nothing that leads elsewhere."""
    if not _NAME.fullmatch(name):
        raise UserError(f"dataset name {name!r}: use lower-case letters, digits and underscores, a letter first")


def dataset_directory(data_dir: Path, name: str) -> Path:
    """Where the newest version of the dataset of that name lies.

    Raises:
        UserError: it has not been prepared; the message names the datasets that have.
    """
    check_name(name)
    if (directory := newest(data_dir / name)) is None:
        prepared = sorted({path.parent.parent.name for path in data_dir.glob("*/*/metadata.json")})
        have = f"prepared are {', '.join(prepared)}" if prepared else "nothing is prepared there"
        source = "" if name == "synthetic" else " --source=DIR"
        raise UserError(
            f"no dataset {name!r} in {str(data_dir)!r} ({have}); "
            f"make it with: python -m experiments.prepare --dataset={name}{source}"
        )
    return directory


def newest(folder: Path) -> Path | None:
    """The newest version in a dataset's folder; None where there is none."""
    return max(_versions(folder), key=_number, default=None)


def following(folder: Path) -> Path:
    """Where the next version goes."""
    latest = newest(folder)
    if latest is None:
        return folder / _FIRST
    major, minor, patch = _number(latest)
    return folder / f"{major}.{minor}.{patch + 1}"


def remove_older(folder: Path) -> list[str]:
    """Removes the versions before the newest that nobody reads. To be used under the folder's lock.

    Returns:
        Why a version was kept, a sentence each.
    """
    latest, kept = newest(folder), []
    for version in _versions(folder):
        if version == latest:
            continue
        if not is_ours(version):
            kept.append(f"{version} is kept: an older release of mole_jax made it; remove it when it is not needed")
        elif _is_held(version):
            kept.append(f"{version} is kept: a process reads it; the next --overwrite removes it")
        elif others := remove_superseded(version, DATASET):
            kept.append(f"{version} is kept: it holds {others[0]}, which mole_jax did not write")
    return kept


class Reading:
    """A version that is being read: it stays until this is gone, and a change of it is noticed."""

    def __init__(self, directory: Path) -> None:
        """Holds a version.

        Raises:
            FileNotFoundError: it has just been removed.
        """
        self.directory = directory
        self._files = _state(directory)
        if SUMS in self._files:
            lock = os.open(directory / SUMS, os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, lock)
            fcntl.flock(lock, fcntl.LOCK_SH)
        if _state(directory) != self._files:
            raise FileNotFoundError(str(directory))

    def refuse_change(self) -> None:
        """Raises UserError where a file of the version is not the one that it was when reading began."""
        now = _state(self.directory)
        if changed := sorted(name for name, state in self._files.items() if now.get(name) != state):
            raise UserError(
                f"{self.directory / changed[0]} was changed, or removed, while it was read: what was computed from it "
                f"is not kept; {AGAIN}, and give the same command again"
            )


def _versions(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [p for p in folder.iterdir() if _VERSION.fullmatch(p.name) and (p / "metadata.json").is_file()]


def _number(version: Path) -> tuple[int, int, int]:
    match = _VERSION.fullmatch(version.name)
    assert match is not None
    return int(match[1]), int(match[2]), int(match[3])


def _is_held(version: Path) -> bool:
    lock = os.open(version / SUMS, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False


def _state(directory: Path) -> dict[str, tuple[int, int, int]]:
    """Inode, size and time of the last change of each file of a version."""
    found = {}
    for entry in os.scandir(directory):
        if entry.is_file():
            stat = entry.stat()
            found[entry.name] = (stat.st_ino, stat.st_size, stat.st_mtime_ns)
    return found
