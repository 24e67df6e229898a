"""What happened to the trials of a sweep: a line a start and a line an end, kept from start to start."""

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from mole_jax.errors import TRY_AGAIN, UserError
from mole_jax.executors.base import SENTENCE, Ended
from mole_jax.files.writing import open_to_append, write_text

State = Literal["done", "diverged", "failed", "pruned", "begun", "to do"]
FINAL: Final = ("done", "diverged", "pruned")  # what is not started again


@dataclass(frozen=True)
class Line:
    """One thing that happened.

    Attributes:
        trial: its name.
        state: in which it has been since.
        time: seconds since 1970.
        seconds: how long this start took; 0 at its beginning.
        error: why it is not done; "" otherwise.
    """

    trial: str
    state: State
    time: float
    seconds: float = 0.0
    error: str = ""


@dataclass
class Journal:
    """The journal of a sweep that is under way.

    Attributes:
        last: of each trial what happened last.
        starts: of each trial how often it was started.
        seconds: of each trial how long its starts took together.
    """

    path: Path
    last: dict[str, Line] = field(default_factory=dict)
    starts: dict[str, int] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)

    def write(self, trial: str, state: State, *, seconds: float = 0.0, error: str = "") -> None:
        """Adds a line."""
        line = Line(trial, state, round(time.time(), 3), round(seconds, 3), error)
        self._file.write(json.dumps(vars(line)) + "\n")
        self._count(line)

    def state(self, trial: str) -> State:
        """What became of a trial, so far."""
        return self.last[trial].state if trial in self.last else "to do"

    def error(self, trial: str) -> str:
        """Why a trial is not done; "" where nothing is wrong."""
        return self.last[trial].error if trial in self.last else ""

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _count(self, line: Line) -> None:
        self.last[line.trial] = line
        self.starts[line.trial] = self.starts.get(line.trial, 0) + (line.state == "begun")
        self.seconds[line.trial] = self.seconds.get(line.trial, 0.0) + line.seconds

    @classmethod
    def open(cls, path: Path) -> "Journal":
        """Reads what is there, but for a last line that a kill has torn, and opens it to go on.

        Raises:
            UserError: another line is damaged.
        """
        journal, kept = cls(path), b""
        for number, line in enumerate(path.read_bytes().splitlines(keepends=True) if path.exists() else [], start=1):
            if not line.endswith(b"\n"):
                break
            try:
                journal._count(msgspec.json.decode(line, type=Line))
            except msgspec.DecodeError as error:
                raise UserError(
                    f"{path} is damaged (line {number}: {error}); restore it, or remove it: finished trials are known "
                    "without it"
                ) from None
            kept += line
        write_text(path, kept.decode())
        journal._file = open_to_append(path)
        return journal

    def __post_init__(self) -> None:
        self._file: Any = None


def state_after(ended: Ended, *, finished: bool, poor: bool) -> tuple[State, str]:
    """In which state a trial is after its program has ended, and why it is not done.

    Args:
        ended: how its program ended.
        finished: whether its directory holds a finished run.
        poor: whether it was stopped because it was poor.
    """
    if ended.status == 0 and finished:
        return "done", ""
    if poor and ended.status == TRY_AGAIN:
        return "pruned", ""
    words = ended.words.removeprefix(SENTENCE)
    if ended.status == 1 and ended.explained:  # a run's only sentence with status 1: its loss is not finite
        return "diverged", words
    if ended.status == TRY_AGAIN:
        return "begun", words
    if ended.status == 0:
        return "failed", "its program ended and left no finished run"
    how = f"killed by signal {-ended.status}" if ended.status < 0 else f"exit status {ended.status}"
    return "failed", f"{how}: {words}" if words else how
