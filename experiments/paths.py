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
