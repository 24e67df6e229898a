"""What happened: metrics.jsonl step by step, the same numbers for tracking services, and what people were told."""

import json
import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.files.writing import open_to_append, write_text
from mole_jax.runs.directory import LOG, STEPS
from mole_jax.runs.tracking import Sinks


class Log:
    """The log of a run that is being trained; a context manager."""

    def __init__(self, run_dir: Path, config: RunConfig, *, resume_step: int) -> None:
        """Drops the lines of steps after `resume_step`, which will be run again; what people were told stays.

        Args:
            run_dir: of the run.
            config: of the run; `track` says which services get the numbers too.
            resume_step: the number of steps done.

        Raises:
            UserError: a line that is not the last is damaged, or a service's package is not installed.
        """
        path = run_dir / STEPS
        kept = [values for values in read_steps(path) if values["step"] <= resume_step]
        self.epochs = [values for values in kept if "epoch" in values]  # the metrics of the epochs that are done
        write_text(path, "".join(json.dumps(values) + "\n" for values in kept))
        self._steps = open_to_append(path)
        self._told = open_to_append(run_dir / LOG)
        self._sinks = Sinks(run_dir, config, resume_step)

    def __enter__(self) -> "Log":
        """Nothing to do: the files are open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self._steps.close()
        self._told.close()
        self._sinks.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a line of numbers: `step` is the number of steps done."""
        self._steps.write(json.dumps({"step": step, **values}) + "\n")
        self._sinks.write(step, values)

    def tell(self, line: str) -> None:
        """Adds a line for people to train.log, with the time, and hands it to Python's logging for the screen."""
        self._told.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        logging.getLogger(__name__).info("%s", line)


class Unwritten(Log):
    """What happened in a process that is not the first, which writes for all: known here, and not written."""

    def __init__(self, run_dir: Path) -> None:
        self.epochs = [values for values in read_steps(run_dir / STEPS) if "epoch" in values]

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Nothing."""

    def tell(self, line: str) -> None:
        """Nothing."""


def read_steps(path: Path) -> list[dict[str, Any]]:
    """The lines of a metrics.jsonl, but for a last one that a kill has torn; none where there is no file.

    Raises:
        UserError: another line is no record of a step.
    """
    if not path.is_file():
        return []
    lines = path.read_bytes().split(b"\n")
    read: list[dict[str, Any]] = []
    for number, line in enumerate(lines, start=1):
        try:
            values = msgspec.json.decode(line, type=dict[str, Any])
            if type(values["step"]) is not int:
                raise ValueError("its step is no number")
        except (msgspec.DecodeError, ValueError, KeyError) as error:
            if number == len(lines):  # after the last line break: nothing, or what a kill has torn
                break
            raise UserError(
                f"{path} is damaged (line {number}: {' '.join(str(error).split())}); restore it, or train again in "
                "another --run_dir"
            ) from None
        read.append(values)
    return read
