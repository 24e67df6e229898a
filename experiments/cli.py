"""What every command shares: parse the flags, run, and turn a user's mistake into one sentence and exit status 2.

Exit status: 0 success, 2 a user's mistake, 1 a fault (with its traceback), 130 interrupted from the keyboard. A command
may return another status of its own.
"""

import difflib
import os
import sys
import textwrap
from collections.abc import Callable, Iterator

from absl import flags

from mole_jax.errors import UserError, means_full_disk

WIDTH = 100


def main(command: Callable[[], int | None], *, description: str) -> None:
    """Parses `sys.argv` into absl's FLAGS, calls `command` and exits with its status.

    Args:
        command: does the work; imports JAX itself, so that `--help` answers at once.
        description: shown by `--help` above the flags.
    """
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        try:
            print("\n".join([description.strip(), "", "Flags:", *_help_lines()]), flush=True)
        except BrokenPipeError:  # --help | head: nothing is left to say, and the interpreter must not try again at exit
            os._exit(0)
        sys.exit(0)
    try:
        positional = flags.FLAGS(sys.argv)[1:]
        if positional:
            raise UserError(f"unexpected argument {positional[0]!r}: flags are written --name=value; --help lists them")
        status = command()
    except flags.UnrecognizedFlagError as error:
        print(
            f"error: unknown flag --{error.flagname}{_suggestion(error.flagname)}; --help lists them", file=sys.stderr
        )
        sys.exit(2)
    except (UserError, flags.Error) as error:
        print(f"error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    except Exception as error:
        if not means_full_disk(error):
            raise
        what = " ".join(str(error).split())
        print(f"error: no room left to write ({what}): make room and give the same command again", file=sys.stderr)
        sys.exit(2)
    sys.exit(status or 0)


def _own_flags() -> list[flags.Flag]:
    """The flags that the commands define, in their order; not those of libraries."""
    by_module = flags.FLAGS.flags_by_module_dict()
    return [
        flag
        for module, of_module in by_module.items()
        if module.startswith("experiments.") or module == sys.argv[0]
        for flag in of_module
    ]


def _help_lines() -> Iterator[str]:
    for flag in _own_flags():
        choices = getattr(flag.parser, "enum_values", None)
        kind = "" if flag.boolean else "=" + ("|".join(choices) if choices else flag.flag_type().upper())
        default = "" if flag.default is None else f" (default: {flag.default_as_str.strip(chr(39))})"
        yield f"  --{'[no]' if flag.boolean else ''}{flag.name}{kind}"
        text = flag.help.split(">: ", 1)[-1] if choices else flag.help  # absl puts <the|choices> before it
        yield from textwrap.wrap(f"{text}{default}", WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, [flag.name for flag in _own_flags()], n=1)
    return f", did you mean --{close[0]}?" if close else ""
