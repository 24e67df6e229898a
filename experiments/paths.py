"""Paths as people give them to flags: ~ is their home folder, and * stands for many."""

from collections.abc import Sequence
from pathlib import Path

from mole_jax.errors import UserError


def given_path(text: str) -> Path:
    """The path, with ~ as the home folder, which a shell leaves alone after an equals sign."""
    return Path(text).expanduser()


def given_paths(flag: str, texts: Sequence[str]) -> list[Path]:
    """The paths, each pattern replaced by what it matches, in order of name.

    Raises:
        UserError: a pattern matches nothing.
    """
    found = []
    for text in texts:
        path = given_path(text)
        matches = [path] if path.exists() or not set("*?[") & set(text) else _matching(path)
        if not matches:
            raise UserError(f"--{flag}={text} matches nothing; give folders or files that are there")
        found += matches
    return found


def _matching(pattern: Path) -> list[Path]:
    return sorted(Path(pattern.anchor).glob(str(pattern.relative_to(pattern.anchor))))


def output_folder(text: str) -> Path:
    """The path of a folder to write into, which need not be there yet.

    Raises:
        UserError: a file is in its place, or in that of one that it lies in.
    """
    folder = given_path(text)
    if any(place.exists() and not place.is_dir() for place in (folder, *folder.parents)):
        raise UserError(f"--out={text} is a file, or lies below one; give a folder for the results")
    return folder


def output_file(text: str) -> Path:
    """The path of a file to write.

    Raises:
        UserError: a folder is in its place, or a file in that of its folder.
    """
    path = given_path(text)
    if path.is_dir():
        raise UserError(f"--out={text} is a folder; give the file to write, such as {path / 'report.html'}")
    if any(parent.is_file() for parent in path.parents):
        raise UserError(f"--out={text} lies below a file; give another path")
    return path
