"""A folder that appears complete or not at all, and never over one that is not ours.

Beside its place, where a rename is atomic, lie while it is written `.<name>.incomplete` and, for the moment of the
exchange, `.<name>.replaced`: hidden names that nobody gives to a folder of their own.
"""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def incomplete(final: Path) -> Path:
    """Where a folder is written before it has its place."""
    return final.with_name(f".{final.name}.incomplete")


def replaced(final: Path) -> Path:
    """Where the folder that was there before lies while the two change places."""
    return final.with_name(f".{final.name}.replaced")


def recover(final: Path) -> None:
    """Puts back what a kill in the middle of `publish` has left moved away. To be used under a lock."""
    if not final.exists() and replaced(final).exists():
        replaced(final).rename(final)


@contextmanager
def new_folder(final: Path) -> Iterator[Path]:
    """A fresh folder to write into, to be moved to `final` by `publish`; removed if it is not.

    Also removes what a kill has left of an earlier one. To be used under a lock, so that the leftovers are nobody's.
    """
    folder = incomplete(final)
    for leftover in (folder, replaced(final)):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, final: Path) -> None:
    """Moves a complete folder to its place, over what is there."""
    if final.exists():
        shutil.rmtree(replaced(final), ignore_errors=True)  # left by a kill further down
        final.rename(replaced(final))
    folder.rename(final)
    shutil.rmtree(replaced(final), ignore_errors=True)
