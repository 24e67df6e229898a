"""The files below a source folder: every one is listed, the odd ones with the reason why they are not used."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mole_jax.data.records import Quarantined
from mole_jax.data.source.photographs import why_no_photograph
from mole_jax.errors import UserError

FOLLOW: Final = "--follow_links follows it"


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


def list_tree(source: Path, *, follow_links: bool = False) -> Tree:
    """Lists a source.

    Args:
        source: the folder, or one .npz archive.
        follow_links: whether links that lead out of the source are followed, to files and to folders, each folder once.

    Raises:
        UserError: the source is missing, is not a folder, or holds no file that can be read.
    """
    if is_archive(source):
        return Tree(tree_root(source), (source.name,), (), {source.name: source.stat().st_size})
    if not source.is_dir():
        raise UserError(
            f"source {str(source)!r} is {'not a folder' if source.exists() else 'missing'}; give --source=DIR"
        )
    root = source.resolve()
    sizes: dict[str, int] = {}
    quarantined, files = [], []
    for path, usable in _entries(root, follow_links):
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


def is_archive(source: Path) -> bool:
    """Whether a source is one file that holds all of its images."""
    return source.suffix.lower() == ".npz" and source.is_file()


def tree_root(source: Path) -> Path:
    """The folder that the paths of a source's files begin at, absolute, links resolved."""
    return source.parent.resolve() if is_archive(source) else source.resolve()


def _entries(root: Path, follow: bool) -> Iterator[tuple[Path, int | str]]:
    """Yields (path, its size in bytes or why it is not used) for everything but folders."""
    folders = [root]
    listed = set[Path]()  # only where links are followed, without which no folder can be met twice
    while folders:  # a stack of our own: os.walk recurses, and a tree may be deeper than Python's stack
        folder = folders.pop()
        if follow:
            if (real := folder.resolve()) in listed:
                yield folder, "a folder that is listed already under another name"
                continue
            listed.add(real)
        try:
            with os.scandir(folder) as listing:
                entries = list(listing)
        except OSError as error:
            yield folder, f"folder cannot be read: {error.strerror}"
            continue
        linked = []
        for entry in entries:
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                folders.append(path)
            elif follow and _leads_to_a_folder(path):
                linked.append(path)
            else:
                yield path, _size_or_why_not(path, root, follow)
        for path in sorted(linked, key=os.fsencode):
            target = path.resolve()
            if target.is_relative_to(root):
                yield path, "link to a folder of the source itself"
            elif root.is_relative_to(target):
                yield path, "link to a folder that holds the source"
            else:
                folders.insert(0, path)  # after all folders of the source itself


def _leads_to_a_folder(path: Path) -> bool:
    try:
        return path.is_symlink() and path.is_dir()
    except OSError:
        return False


def _size_or_why_not(path: Path, root: Path, follow: bool) -> int | str:
    try:
        status = path.stat()
        if path.is_symlink() and not follow:
            if stat.S_ISDIR(status.st_mode):
                return f"link to a folder, not followed; {FOLLOW}"
            if not path.resolve(strict=True).is_relative_to(root):
                return f"link that leads out of the source; {FOLLOW}"
        return status.st_size if stat.S_ISREG(status.st_mode) else "not a regular file"
    except (OSError, RuntimeError) as error:  # a broken or circular link
        return f"cannot be opened: {error.__class__.__name__}"
