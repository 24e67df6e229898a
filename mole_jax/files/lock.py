"""One process at a time in a folder; the system frees the lock even when the process is killed."""

import fcntl
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError

LOCK: Final = ".lock"


@contextmanager
def exclusive(folder: Path, *, busy: str, otherwise: str = "give another folder", wait: bool = False) -> Iterator[None]:
    """Holds a folder, which is made if need be.

    Args:
        folder: to hold.
        busy: what to say where another process holds it, one sentence.
        otherwise: what the user may do where the folder cannot be written.
        wait: log `busy` and wait for the other process, instead of refusing.

    Raises:
        UserError: another process holds it (unless `wait`), or it cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # A link in place of the lock would have us truncate or create what it points to.
        lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    except OSError as error:
        raise UserError(f"cannot write below {str(folder)!r} ({error.strerror}); {otherwise}") from error
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise UserError(busy) from None
            logging.getLogger(__name__).warning("%s", busy)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)
