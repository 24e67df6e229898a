"""A folder that appears complete or not at all, and never over one that is not ours.

While it is written it lies beside its place, where a rename is atomic, as `.<name>.incomplete`; for the moment of an
exchange the older one is `.<name>.replaced`. Both are marked as ours, as it is: what has no mark is not touched.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mole_jax.errors import UserError
from mole_jax.files.changes import is_ours, move_folder, remove_folder
from mole_jax.files.sums import claim, refuse_foreign, seal_all, strangers


def incomplete(final: Path) -> Path:
    """Where a folder is written before it has its place."""
    return final.with_name(f".{final.name}.incomplete")


def replaced(final: Path) -> Path:
    """Where the folder that was there before lies while the two change places."""
    return final.with_name(f".{final.name}.replaced")


def _recover(final: Path) -> None:
    """Puts back what a kill in the middle of `publish` has left moved away."""
    if not final.exists() and is_ours(replaced(final)):
        move_folder(replaced(final), final)


@contextmanager
def new_folder(final: Path, kind: str, *, otherwise: str) -> Iterator[Path]:
    """A fresh folder to write into, to be moved to `final` by `publish`; removed if it is not.

    Also removes what a kill has left of an earlier one. To be used under a lock, so that the leftovers are nobody's.

    Args:
        final: its place.
        kind: of thing that it will be, one word.
        otherwise: what the user can do where something that is not ours is in the way.

    Raises:
        UserError: the folder at `final`, or at a hidden name beside it, is not ours or holds a file that is not.
    """
    _recover(final)
    refuse_foreign(final, kind, alone=True, otherwise=otherwise)
    if others := strangers(final, kind):
        raise UserError(f"{final / others[0]} was not written by mole_jax and is in the way; move it elsewhere")
    folder = incomplete(final)
    for leftover in (folder, replaced(final)):
        remove_folder(leftover)
    claim(folder, kind, alone=True, otherwise=otherwise)
    try:
        yield folder
    finally:
        remove_folder(folder)


def remove_superseded(folder: Path, kind: str) -> list[str]:
    """Removes a finished folder of ours, unless it holds files that are not; gives their names."""
    others = strangers(folder, kind)
    if not others:
        remove_folder(folder)
    return others


def publish(folder: Path, final: Path, kind: str) -> None:
    """Records the digests of a complete folder's files and moves it to its place, over one of ours."""
    seal_all(folder, kind)
    if final.exists():
        remove_folder(replaced(final))  # left by a kill further down
        move_folder(final, replaced(final))
    move_folder(folder, final)
    remove_folder(replaced(final))
