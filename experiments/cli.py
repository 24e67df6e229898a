"""What every command shares: parse the flags, run, and turn a user's mistake into one sentence and exit status 2.

Exit status: 0 success, 2 a user's mistake, 1 a fault (with its traceback), 130 interrupted from the keyboard. A
command may return another status of its own.
"""

import sys
from collections.abc import Callable

from absl import app, flags

from mole_jax.errors import UserError


def main(command: Callable[[], int | None], *, description: str) -> None:
    """Parses `sys.argv` into absl's FLAGS, calls `command` and exits with its status.

    Args:
        command: does the work; imports JAX itself, so that `--help` answers at once.
        description: shown by `--help` above the flags.
    """
    sys.modules["__main__"].__doc__ = description
    app.define_help_flags()
    try:
        positional = flags.FLAGS(sys.argv)[1:]
        if positional:
            raise UserError(f"unexpected argument {positional[0]!r}: flags are written --name=value; --help lists them")
        status = command()
    except (UserError, flags.Error) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    sys.exit(status or 0)
