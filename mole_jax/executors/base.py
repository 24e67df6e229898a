"""A job, how it ended, and what every executor can do."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol, runtime_checkable

LOST: Final = -9  # the status of a job that went with its machine, as if killed
SENTENCE: Final = "error: "  # how a command begins what a person can mend


@dataclass(frozen=True)
class Job:
    """One program run.

    Attributes:
        name: unique among the jobs of an executor.
        arguments: what Python is started with, such as ("-m", "experiments.run", "--model=cnn").
        folder: where it is started.
        log: what it prints is added to this file, relative to `folder`.
    """

    name: str
    arguments: tuple[str, ...]
    folder: Path
    log: Path


@dataclass(frozen=True)
class Ended:
    """How a job ended.

    Attributes:
        name: of the job.
        status: its exit status, as a shell's; negative: killed by that signal, or (-9) lost with its machine.
        words: its last words, one line; "" where it said nothing.
    """

    name: str
    status: int
    words: str = ""

    @property
    def explained(self) -> bool:
        """Whether it ended with a sentence, and so would end the same way again."""
        return self.status == 2 or (self.status == 1 and self.words.startswith(SENTENCE))


@runtime_checkable
class Executor(Protocol):
    """Runs jobs in processes of their own."""

    def start(self, job: Job) -> None:
        """Starts a job; it may wait for its turn."""
        ...

    def wait(self, seconds: float) -> Sequence[Ended]:
        """The jobs that have ended since the last call; waits for one, but not longer than `seconds`."""
        ...

    def stop(self, name: str) -> None:
        """Asks a job to save and to end, which `wait` will tell; nothing where it has ended."""
        ...

    def close(self) -> None:
        """Asks all jobs to save and to end, and waits for them."""
        ...


def last_words(log: Path) -> str:
    """The last line of a log that begins with "error: ", else its last line; "" where there is none."""
    try:
        with log.open("rb") as file:
            file.seek(0, 2)
            file.seek(max(0, file.tell() - 10_000))
            text = file.read().decode("utf-8", "replace")
    except FileNotFoundError:
        return ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    said = [line for line in lines if line.startswith(SENTENCE)]
    # A fault ends with its traceback, whatever a library may have printed before.
    return said[-1] if said and lines[-1] == said[-1] else lines[-1] if lines else ""
