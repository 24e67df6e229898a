"""Contestants take turns, each in a process of its own, so that no framework's flags and threads disturb another's.

Within a round every contestant has one turn, in an order that moves on from round to round: a busy machine then slows
all of them alike, and the ratios hold although the rates do not.
"""

import contextlib
import functools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]
# The seconds of a whole process, which are measured from outside.
WHOLE_JOB = "whole job"
# Idle threads of the contestant before may spin for so long, in seconds.
PAUSE = 0.3
# Several frameworks share an accelerator here, of which each would take all memory; warnings belong to the log.
ENVIRONMENT = {
    "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
    "TF_FORCE_GPU_ALLOW_GROWTH": "true",
    "TF_CPP_MIN_LOG_LEVEL": "2",
}


@dataclass(frozen=True)
class Contestant:
    """One of those that are compared.

    Attributes:
        name: as the table shows it.
        build: "module:function", see `benchmarks.worker`.
        arguments: of the function; JSON values.
        environment: variables besides this process's own.
        fresh: a new process for every turn, whose wall time from start to end is measured too (WHOLE_JOB, seconds);
            else one process for all turns, with what it has imported and compiled.
    """

    name: str
    build: str
    arguments: Mapping[str, Any] = field(default_factory=dict)
    environment: Mapping[str, str] = field(default_factory=dict)
    fresh: bool = False


@dataclass
class Outcome:
    """What came of a competition.

    Attributes:
        values: contestant -> measure -> one value a round.
        absent: contestant -> why it could not take part.
        failed: contestant -> the end of its log.
    """

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)


class _Absent(Exception):
    pass


class _Failed(Exception):
    pass


class _Process:
    """One running worker."""

    def __init__(self, contestant: Contestant, log: Path) -> None:
        self._log = log
        self._began = time.perf_counter()
        with log.open("a") as file:
            self._child = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.worker", contestant.build, json.dumps(dict(contestant.arguments))],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                bufsize=1,
                cwd=ROOT,
                process_group=0,
                env={**ENVIRONMENT, **os.environ, **contestant.environment},
            )

    def ready(self) -> None:
        """Waits until it is built."""
        reply = self._reply()
        if "absent" in reply:
            raise _Absent(reply["absent"])

    def turn(self) -> dict[str, float]:
        """Lets it measure once."""
        assert self._child.stdin is not None
        try:
            self._child.stdin.write("turn\n")
        except BrokenPipeError:
            raise _Failed(self._end_of_log()) from None
        return dict(self._reply()["values"])

    def close(self) -> float:
        """Ends it; gives its seconds of life."""
        for pipe in (self._child.stdin, self._child.stdout):
            if pipe is not None:
                with contextlib.suppress(BrokenPipeError):  # what a dead worker has not read
                    pipe.close()
        self._child.wait()
        return time.perf_counter() - self._began

    def kill(self) -> None:
        """Ends it at once, with whatever it has started."""
        with contextlib.suppress(ProcessLookupError):  # it has died by itself
            os.killpg(self._child.pid, signal.SIGKILL)
        self.close()

    def _reply(self) -> dict[str, Any]:
        assert self._child.stdout is not None
        line = self._child.stdout.readline()
        if not line:
            raise _Failed(self._end_of_log())
        return dict(json.loads(line))

    def _end_of_log(self) -> str:
        lines = [line for line in self._log.read_text(errors="replace").splitlines() if line.strip()]
        return lines[-1] if lines else "it ended without a word"


def compete(
    contestants: Sequence[Contestant],
    *,
    rounds: int,
    logs: Path,
    warm_up: int = 1,
    say: Callable[[str], None] = lambda text: None,
) -> Outcome:
    """Lets the contestants take turns.

    Args:
        contestants: of different names.
        rounds: turns of each that count.
        logs: folder for what they print.
        warm_up: rounds before, whose values are thrown away.
        say: called with a line on each step.
    """
    logs.mkdir(parents=True, exist_ok=True)
    outcome = Outcome()
    running: dict[str, _Process] = {}

    def start(contestant: Contestant) -> _Process:
        process = _Process(contestant, logs / f"{_file_name(contestant.name)}.log")
        try:
            process.ready()
        except BaseException:
            process.kill()
            raise
        return process

    def one_turn(contestant: Contestant, *, counts: bool) -> None:
        process = start(contestant) if contestant.fresh else running[contestant.name]
        try:
            values = process.turn()
        except BaseException:
            running.pop(contestant.name, None)
            process.kill()
            raise
        if contestant.fresh:
            values[WHOLE_JOB] = process.close()
        if counts:
            for measure, value in values.items():
                outcome.values.setdefault(contestant.name, {}).setdefault(measure, []).append(value)
        say(f"{contestant.name}: " + ", ".join(f"{name} {value:.3g}" for name, value in values.items()))

    def begin(contestant: Contestant) -> None:
        say(f"starting {contestant.name}")
        running[contestant.name] = start(contestant)

    def attempt(contestant: Contestant, step: Callable[[Contestant], None]) -> None:
        try:
            step(contestant)
        except _Absent as why:
            outcome.absent[contestant.name] = str(why)
            say(f"{contestant.name} is absent: {why}")
        except _Failed as why:
            outcome.failed[contestant.name] = str(why)
            outcome.values.pop(contestant.name, None)
            say(f"{contestant.name} FAILED: {why}")

    try:
        for contestant in contestants:
            if not contestant.fresh:
                attempt(contestant, begin)
        for turn in range(warm_up + rounds):
            first = turn % len(contestants)
            for contestant in [*contestants[first:], *contestants[:first]]:
                if contestant.name in outcome.absent or contestant.name in outcome.failed:
                    continue
                time.sleep(PAUSE)
                attempt(contestant, functools.partial(one_turn, counts=turn >= warm_up))
    finally:
        for process in running.values():
            process.close()
    return outcome


def run_once(build: str, *, logs: Path, **arguments: Any) -> None:
    """Lets a worker do something once, such as writing a question's input, so that this process stays small.

    Raises:
        RuntimeError: it failed; quotes the end of its log.
    """
    outcome = compete([Contestant("input", build, arguments, fresh=True)], rounds=1, warm_up=0, logs=logs)
    if "input" not in outcome.values:
        raise RuntimeError(f"{build}: {outcome.failed or outcome.absent}")


def _file_name(name: str) -> str:
    return "".join(c if c.isalnum() else "_" for c in name)
