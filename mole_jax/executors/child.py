"""How a job's process begins on Linux: it asks to be killed when its parent is, so that nothing of ours is left that
would hold a trial's directory against the next start, and keeps to its cores. Then it becomes the job's program.

A program of its own, and not a function that runs between fork and exec, which is not safe in a process with threads.
"""

import os
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Final

_PARENT_DIED: Final = 1  # Linux' PR_SET_PDEATHSIG


def command(arguments: Sequence[str], cores: Iterable[int] = ()) -> list[str]:
    """What to start for a job of this process.

    Args:
        arguments: what Python is started with.
        cores: the cores that it may use; empty: all.
    """
    if sys.platform != "linux":
        return [sys.executable, *arguments]
    first = [sys.executable, "-I", "-S", __file__, str(os.getpid()), ",".join(map(str, sorted(cores)))]
    return [*first, *arguments]


def _begin(parent: int, cores: str, arguments: Sequence[str]) -> None:
    import ctypes

    ctypes.CDLL(None).prctl(_PARENT_DIED, signal.SIGKILL)
    if os.getppid() != parent:  # it died in between
        sys.exit(1)
    if cores:
        os.sched_setaffinity(0, map(int, cores.split(",")))
    os.execv(sys.executable, [sys.executable, *arguments])


if __name__ == "__main__":
    _begin(int(sys.argv[1]), sys.argv[2], sys.argv[3:])
