"""The one exception that means: the person at the keyboard can mend this."""

import errno
import importlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

# The exit status of a command that was stopped with everything saved and goes on when it is given again (EX_TEMPFAIL).
TRY_AGAIN: Final = 75
# No space, over quota, beyond the largest file that is allowed.
_FULL: Final = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))


class UserError(ValueError):
    """A user's mistake. The message is one sentence: what was wrong (the value), where, and what to do.

    The commands print it without a traceback and exit with status 2.
    """


def optional(module: str, *, wanted_by: str, extra: str) -> Any:
    """A module that is not everybody's.

    Args:
        module: its name.
        wanted_by: the flag that needs it.
        extra: with which it is installed.

    Raises:
        UserError: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = (error.name or module).partition(".")[0]
        raise UserError(
            f"{wanted_by} needs the package {package}, which is not installed: pip install 'mole-jax[{extra}]'"
        ) from error


def means_full_disk(error: BaseException) -> bool:
    """Whether a disk had no room left. C++ libraries say so in the text of errors of other types."""
    return any(text in str(error) for text in _FULL)


@contextmanager
def full_disk_explained(folder: Path, remedy: str) -> Iterator[None]:
    """Turns whatever the libraries raise when the disk of `folder` is full into a UserError that ends with `remedy`."""
    try:
        yield
    except Exception as error:
        if not means_full_disk(error):
            raise
        free = shutil.disk_usage(folder).free / 1e9
        raise UserError(f"no room left to write in {str(folder)!r} ({free:.1f} GB free): {remedy}") from error
