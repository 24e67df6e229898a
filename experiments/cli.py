"""What every command shares: parse the flags, run, and turn a user's mistake into one sentence and exit status 2.

Exit status: 0 success, 2 a user's mistake, 1 a fault (with its traceback), 130 interrupted from the keyboard. A command
may return another status of its own.
"""

import difflib
import logging
import os
import signal
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any

from absl import flags

from mole_jax.errors import UserError, means_full_disk

WIDTH = 100
NOT_A_DEVICE = "Research software, not a medical device: it says nothing about anybody's skin."


def main(
    command: Callable[[], int | None],
    *,
    description: str,
    defaults: Callable[[list[str]], Mapping[str, str]] = lambda _: {},
    more_help: Callable[[], Sequence[str]] = lambda: (),
    goes_on: bool = False,
) -> None:
    """Parses `sys.argv` into absl's FLAGS, calls `command` and exits with its status.

    Args:
        command: does the work and gives the exit status, None for 0; imports JAX itself, so that `--help` answers at
            once.
        description: text that `--help` shows above the flags.
        defaults: from the arguments to (flag name -> its value if it is not given, in words), for flags whose value
            depends on the arguments.
        more_help: gives lines that `--help` shows below the flags.
        goes_on: whether the same command, given again, goes on where it was interrupted.
    """
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        try:
            lines = _help_lines(defaults(sys.argv[1:]))
            print("\n".join([description.strip(), "", "Flags:", *lines, *more_help()]), flush=True)
        except BrokenPipeError:  # --help | head: nothing is left to say, and the interpreter must not try again at exit
            os._exit(0)
        sys.exit(0)
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    _log_to_screen()
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
        _say_interrupted(goes_on)
    except Exception as error:
        if interrupted:  # a library has turned the interruption into an error of its own
            _say_interrupted(goes_on)
        if not means_full_disk(error):
            raise
        what = " ".join(str(error).split())
        print(f"error: no room left to write ({what}): make room and give the same command again", file=sys.stderr)
        sys.exit(2)
    sys.exit(status or 0)


def _say_interrupted(goes_on: bool) -> None:
    print("interrupted" + ("; the same command goes on where it stopped" if goes_on else ""), file=sys.stderr)
    sys.exit(130)


class _AboveTheBar(logging.Handler):
    """Lines that stay on the screen, above a progress bar: what a run tells to stdout, warnings to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        told = record.levelno < logging.WARNING
        text = record.getMessage() if told else f"{record.levelname.lower()}: {record.getMessage()}"
        tqdm.write(text, file=sys.stdout if told else sys.stderr)
        (sys.stdout if told else sys.stderr).flush()


def _log_to_screen() -> None:
    logger = logging.getLogger("mole_jax")
    logger.setLevel(logging.INFO)
    logger.addHandler(_AboveTheBar())
    logger.propagate = False


def _own_flags() -> list[flags.Flag]:
    """The flags that the commands define, in their order; not those of libraries."""
    by_module = flags.FLAGS.flags_by_module_dict()
    return [
        flag
        for module, of_module in by_module.items()
        if module.startswith("experiments.") or module == sys.argv[0]
        for flag in of_module
    ]


def _help_lines(defaults: Mapping[str, str]) -> Iterator[str]:
    for flag in _own_flags():
        choices = getattr(flag.parser, "enum_values", None)
        kind = "" if flag.boolean else "=" + ("|".join(choices) if choices else flag.flag_type().upper())
        default = "" if flag.default is None else f" (default: {_plain(flag)})"
        default = f" ({defaults[flag.name]})" if flag.name in defaults else default
        yield f"  --{'[no]' if flag.boolean else ''}{flag.name}{kind}"
        text = flag.help.split(">: ", 1)[-1] if choices else flag.help  # absl puts <the|choices> before it
        yield from textwrap.wrap(f"{text}{default}", WIDTH, initial_indent=" " * 8, subsequent_indent=" " * 8)


def _plain(flag: Any) -> str:
    return str(flag.default_as_str).strip("'")


def _suggestion(name: str) -> str:
    close = difflib.get_close_matches(name, [flag.name for flag in _own_flags()], n=1)
    return f", did you mean --{close[0]}?" if close else ""
