"""A folder that appears complete or not at all."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

# Below the dataset's own folder, where a rename is atomic; no TFDS version looks like this.
INCOMPLETE: Final = "incomplete"
REPLACED: Final = "replaced"


def recover(final: Path) -> None:
    """Puts back what a kill in the middle of `publish` has left moved away. To be used under `exclusive`."""
    if not final.exists() and (final.parent / REPLACED).exists():
        (final.parent / REPLACED).rename(final)


@contextmanager
def new_folder(parent: Path) -> Iterator[Path]:
    """A fresh folder to write into; removed afterwards, unless `publish` has moved it.

    Also removes what a kill left behind. To be used under `exclusive(parent)`, so that the leftovers are nobody's.
    """
    folder = parent / INCOMPLETE
    for leftover in (folder, parent / REPLACED):
        shutil.rmtree(leftover, ignore_errors=True)
    folder.mkdir()
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def publish(folder: Path, final: Path) -> None:
    """Moves a complete folder to its place, over what is there."""
    if final.exists():
        shutil.rmtree(final.parent / REPLACED, ignore_errors=True)  # left by a kill further down
        final.rename(final.parent / REPLACED)
    folder.rename(final)
    shutil.rmtree(final.parent / REPLACED, ignore_errors=True)
