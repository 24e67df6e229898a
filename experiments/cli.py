"""What every command shares: parse the flags, run, and turn a user's mistake into one sentence and exit status 2.

Exit status: 0 success, 2 a user's mistake or a refusal of the system, 1 a fault (with its traceback), 130 interrupted
from the keyboard, 143 stopped by SIGTERM (75 where the same command goes on). A command may return another status of
its own.
"""

import difflib
import logging
import os
import signal
import sys
import textwrap
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

from absl import flags

from experiments.console import steady_streams, visible
from mole_jax.errors import TRY_AGAIN, UserError, means_full_disk

WIDTH = 100
INTERRUPTIONS = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
DEBUG = flags.DEFINE_bool("debug", False, "show where in the code an error arose")
DEBUG_HINT = "--debug shows where in the code"
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
    steady_streams()
    if {"--help", "-help", "-h"} & set(sys.argv[1:]):
        lines = _help_lines(defaults(sys.argv[1:]))
        print("\n".join([description.strip(), "", "Flags:", *lines, *more_help()]), flush=True)
        sys.exit(0)
    interrupted: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        interrupted.append(number)
        raise KeyboardInterrupt

    for number in INTERRUPTIONS:
        signal.signal(number, interrupt)
    sys.unraisablehook = _interrupt_again
    _log_to_screen()
    try:
        positional = flags.FLAGS(sys.argv)[1:]
        if positional:
            raise UserError(f"unexpected argument {positional[0]!r}: flags are written --name=value; --help lists them")
        status = command()
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        if DEBUG.present and DEBUG.value:
            traceback.print_exc()
        if interrupted:  # by us, or by a library that has turned the interruption into an error of its own
            _leave(_say_interrupted(interrupted[0], goes_on))
        elif (sentence := _explain(error)) is not None:
            print(f"error: {visible(' '.join(sentence.split()))}", file=sys.stderr)
            status = 2
        else:
            raise
    sys.exit(status or 0)


def _interrupt_again(swallowed: "sys.UnraisableHookArgs") -> None:
    """An interruption that came while Python was cleaning up, where exceptions are dropped, comes once more."""
    if issubclass(swallowed.exc_type, KeyboardInterrupt):
        signal.setitimer(signal.ITIMER_REAL, 0.01)
    else:
        sys.__unraisablehook__(swallowed)


def _explain(error: BaseException) -> str | None:
    """What a person at the keyboard can mend, in one sentence; None for a fault of ours."""
    if isinstance(error, flags.UnrecognizedFlagError):
        return f"unknown flag --{error.flagname}{_suggestion(error.flagname)}; --help lists them"
    if isinstance(error, UserError | flags.Error):
        return str(error)
    if means_full_disk(error):
        return f"no room left to write ({error}): make room and give the same command again"
    if isinstance(error, OSError) and error.errno is not None:
        where = f" {os.fsdecode(error.filename)!r}" if error.filename is not None else ""
        return f"the system refused{where}: {error.strerror}; give another place or change it ({DEBUG_HINT})"
    if isinstance(error, MemoryError) or "RESOURCE_EXHAUSTED" in str(error):
        what = f" ({error})" if str(error) else ""
        return f"not enough memory{what}: give a smaller --batch_size, or fewer images ({DEBUG_HINT})"
    if isinstance(error, ImportError) and error.name and error.name.partition(".")[0] == "array_record":
        return f"the package array_record cannot be imported ({error}); it exists for Linux and macOS on 64 bits alone"
    if isinstance(error, RuntimeError) and "home directory" in str(error):
        return "a path begins with ~ and this user has no home directory; give the path in full, or set HOME"
    if (wanted := os.environ.get("JAX_PLATFORMS")) and _arose_in(error, "xla_bridge.py"):
        why = f" ({error})" if str(error) else ""
        return f"JAX_PLATFORMS={wanted} asks for a device that is not here{why}; unset it, or give cpu"
    return None


def _arose_in(error: BaseException, file: str) -> bool:
    """Whether an error was raised in a file of that name."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.endswith(file)


def _say_interrupted(number: int, goes_on: bool) -> int:
    for another in INTERRUPTIONS:
        signal.signal(another, signal.SIG_IGN)  # it is heard
    again = "; the same command goes on where it stopped" if goes_on else "; nothing is half-written"
    if number == signal.SIGINT:
        print(f"interrupted{again}", file=sys.stderr)
        return 130
    print(f"stopped by SIGTERM{again}", file=sys.stderr)
    return TRY_AGAIN if goes_on else 143


def _leave(status: int) -> NoReturn:
    """Ends the process at once: an orderly exit waits for threads, and one that was interrupted while it started, or
    while it held a lock, would be waited for without end. The blocks that hold files have closed them by now.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(status)


class _AboveTheBar(logging.Handler):
    """Lines that stay on the screen, above a progress bar: what a run tells to stdout, warnings to stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        from tqdm import tqdm

        told = record.levelno < logging.WARNING
        text = record.getMessage() if told else f"{record.levelname.lower()}: {record.getMessage()}"
        tqdm.write(visible(text), file=sys.stdout if told else sys.stderr)
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
