"""The child process of one contestant: `python -m benchmarks.worker MODULE:FUNCTION JSON-ARGUMENTS`.

FUNCTION(**arguments) builds the contestant and gives its turn, a function without arguments that measures once and
returns {measure: value}. Each line on standard input asks for a turn; each reply is a line of JSON. Whatever
libraries print goes to standard error.
"""

import importlib
import json
import os
import resource
import sys
from pathlib import Path

from benchmarks.turn import PEAK_MEMORY, Absent, Turn

# What may be missing without being a fault: the extra `benchmarks`.
PEERS = ("torch", "keras", "tensorflow")


def main() -> None:
    """Builds, then takes turns until standard input ends."""
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    module, _, function = sys.argv[1].partition(":")
    try:
        turn: Turn = getattr(importlib.import_module(module), function)(**json.loads(sys.argv[2]))
    except Absent as why:
        print(json.dumps({"absent": str(why)}), file=replies)
        return
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in PEERS:
            raise
        print(json.dumps({"absent": f"{error.name} is not installed"}), file=replies)
        return
    print(json.dumps({"ready": True}), file=replies)
    for _ in sys.stdin:
        print(json.dumps({"values": turn() | {PEAK_MEMORY: peak_memory()}}), file=replies)


def peak_memory() -> float:
    """The largest resident memory so far, in MB, of this process or one of its children that have ended."""
    units = 1 if sys.platform == "darwin" else 1024
    own, of_children = (
        resource.getrusage(who).ru_maxrss * units for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    status = Path("/proc/self/status")
    if status.exists():  # Linux counts into ru_maxrss what the process was before it became this program
        (line,) = (line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        own = 1024 * int(line.split()[1])
    return max(own, of_children) / 1e6


if __name__ == "__main__":
    main()
