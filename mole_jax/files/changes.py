"""The one module that removes, renames or replaces; a test keeps these calls out of all others.

What is removed or replaced was written by this program: a whole folder shows it by its mark (`sums.py`), a file by
being listed in one, or by lying under a hidden name that only this program gives.
"""

import shutil
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError

SUMS: Final = "SHA256SUMS"
MARK: Final = "# mole_jax "  # with which that file begins in a folder of ours


def is_ours(folder: Path) -> bool:
    """Whether this program made the folder, or writes into it."""
    try:
        with (folder / SUMS).open("rb") as file:
            return file.read(len(MARK)) == MARK.encode()
    except OSError:
        return False


def replace_file(new: Path, path: Path) -> None:
    """Moves a file of ours to its place, over an older one."""
    new.replace(path)


def remove_file(path: Path) -> None:
    """Removes a file of ours, or a link in its place (not what it points to); nothing where there is none."""
    path.unlink(missing_ok=True)


def move_folder(folder: Path, final: Path) -> None:
    """Gives a folder of ours another name, at which nothing but an empty folder may be.

    Raises:
        OSError: something is there.
    """
    folder.rename(final)


def move_file(path: Path, final: Path) -> None:
    """Gives a file of ours another name in a folder of ours."""
    path.rename(final)


def remove_folder(folder: Path) -> None:
    """Removes a folder of ours with all that is in it; nothing where there is none.

    The mark goes last, so that a folder whose removal was killed is still known to be ours. A link is removed, never
    what it points to.

    Raises:
        UserError: it has no mark of ours and is not empty.
    """
    if folder.is_symlink():
        remove_file(folder)
        return
    if not folder.is_dir():
        return
    if not is_ours(folder) and any(folder.iterdir()):
        raise UserError(
            f"{str(folder)!r} is in the way and was not written by mole_jax (no {SUMS} in it says so): nothing in it "
            "is touched; move it elsewhere and give the same command again"
        )
    for entry in folder.iterdir():
        if entry.name == SUMS:
            continue
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry, ignore_errors=True)
        else:
            entry.unlink(missing_ok=True)
    # A file that another process holds on a network disk stays, and the mark with it.
    if {entry.name for entry in folder.iterdir()} <= {SUMS}:
        (folder / SUMS).unlink(missing_ok=True)
        folder.rmdir()
