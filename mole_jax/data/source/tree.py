"""The files below a source folder: every one is listed, the odd ones with the reason why they are not used."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mole_jax.data.records import Quarantined
from mole_jax.data.source.photographs import why_no_photograph
from mole_jax.errors import UserError


@dataclass(frozen=True)
class Tree:
    """What lies below a folder.

    Attributes:
        root: the folder, absolute, links resolved.
        files: the regular files that may be photographs or tables, relative to root with "/", sorted.
        quarantined: what cannot be followed or opened, and what its path shows to be no photograph, with the reasons.
        sizes: path -> size of the file in bytes, of every regular file.
    """

    root: Path
    files: tuple[str, ...]
    quarantined: tuple[Quarantined, ...]
    sizes: dict[str, int]


def list_tree(source: Path) -> Tree:
    """Lists a source. Follows no link to a folder, and no link that leads out of the source.

    Raises:
        UserError: the source is missing, is not a folder, or holds no file that can be read.
    """
    if not source.is_dir():
        raise UserError(
            f"source {str(source)!r} is {'not a folder' if source.exists() else 'missing'}; give --source=DIR"
        )
    root = source.resolve()
    sizes: dict[str, int] = {}
    quarantined, files = [], []
    for path, usable in _entries(root):
        relative = path.relative_to(root).as_posix()
        if isinstance(usable, str):
            quarantined.append(Quarantined(relative, usable))
        else:
            sizes[relative] = usable
            if reason := why_no_photograph(relative):
                quarantined.append(Quarantined(relative, reason))
            else:
                files.append(relative)
    quarantined.sort(key=lambda item: os.fsencode(item.source_path))
    if not files:
        odd = f" but {quarantined[0].source_path!r} ({quarantined[0].reason})" if quarantined else ""
        raise UserError(
            f"source {str(source)!r} holds no files{odd}; give the folder that the images were unpacked into"
        )
    # Compared as bytes, so that the order does not depend on the locale or on Python's handling of odd names.
    return Tree(root, tuple(sorted(files, key=os.fsencode)), tuple(quarantined), sizes)


def _entries(root: Path) -> Iterator[tuple[Path, int | str]]:
    """Yields (path, its size in bytes or why it is not used) for everything but real folders."""
    folders = [root]
    while folders:  # a stack of our own: os.walk recurses, and a tree may be deeper than Python's stack
        folder = folders.pop()
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            yield folder, f"folder cannot be read: {error.strerror}"
            continue
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))
            else:
                yield Path(entry.path), _size_or_why_not(Path(entry.path), root)


def _size_or_why_not(path: Path, root: Path) -> int | str:
    try:
        status = path.stat()
        if path.is_symlink():
            if stat.S_ISDIR(status.st_mode):
                return "link to a folder, not followed"
            if not path.resolve(strict=True).is_relative_to(root):
                return "link that leads out of the source"
        return status.st_size if stat.S_ISREG(status.st_mode) else "not a regular file"
    except (OSError, RuntimeError) as error:  # a broken or circular link
        return f"cannot be opened: {error.__class__.__name__}"
