"""The files below a source folder: every one is listed, the odd ones with the reason why they are not used."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mole_jax.data.records import Quarantined
from mole_jax.errors import UserError


@dataclass(frozen=True)
class Tree:
    """What lies below a folder.

    Attributes:
        root: the folder, absolute, links resolved.
        files: the regular files, relative to root with "/", sorted.
        quarantined: what cannot be followed or opened.
        sizes: of the files in bytes.
    """

    root: Path
    files: tuple[str, ...]
    quarantined: tuple[Quarantined, ...]
    sizes: dict[str, int]


def list_tree(source: Path) -> Tree:
    """Lists a source. Follows no link to a folder, and no link that leads out of the source.

    Raises:
        UserError: the source is missing, is not a folder, or is empty.
    """
    if not source.is_dir():
        raise UserError(
            f"source {str(source)!r} is {'not a folder' if source.exists() else 'missing'}; give --source=DIR"
        )
    root = source.resolve()
    sizes: dict[str, int] = {}
    quarantined = []
    for path, reason in _entries(root):
        relative = path.relative_to(root).as_posix()
        if reason:
            quarantined.append(Quarantined(relative, reason))
        else:
            sizes[relative] = path.stat().st_size
    if not sizes:
        raise UserError(f"source {str(source)!r} holds no files; give the folder that the images were unpacked into")
    # Compared as bytes, so that the order does not depend on the locale or on Python's handling of odd names.
    return Tree(root, tuple(sorted(sizes, key=os.fsencode)), tuple(quarantined), sizes)


def _entries(root: Path) -> Iterator[tuple[Path, str]]:
    """Yields (path, why it is not used or "") for everything but real folders."""
    errors: list[OSError] = []
    for folder, subfolders, names in os.walk(root, onerror=errors.append):
        here = Path(folder)
        yield from (
            (here / name, "link to a folder, not followed") for name in subfolders if (here / name).is_symlink()
        )
        yield from ((here / name, _why_not(here / name, root)) for name in names)
    yield from ((Path(error.filename), f"folder cannot be read: {error.strerror}") for error in errors)


def _why_not(path: Path, root: Path) -> str:
    try:
        if path.is_symlink() and not path.resolve(strict=True).is_relative_to(root):
            return "link that leads out of the source"
        return "" if stat.S_ISREG(path.stat().st_mode) else "not a regular file"
    except (OSError, RuntimeError) as error:  # a broken or circular link
        return f"cannot be opened: {error.__class__.__name__}"
