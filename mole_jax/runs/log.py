"""What happened: metrics.jsonl step by step, the same numbers for TensorBoard, and what people were told."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from mole_jax.errors import UserError
from mole_jax.files.writing import open_to_append, write_text
from mole_jax.runs.directory import LOG, STEPS

# tensorboardX imports torch wherever it is installed, for tensors that we do not give it: a second of each start and a
# tenth of a gigabyte of memory.
if "torch" in sys.modules:
    from tensorboardX import SummaryWriter
else:
    absent: Any = None
    sys.modules["torch"] = absent  # as if it were not installed
    try:
        from tensorboardX import SummaryWriter
    finally:
        del sys.modules["torch"]


class Log:
    """The log of a run that is being trained; a context manager."""

    def __init__(self, run_dir: Path, *, resume_step: int) -> None:
        """Drops the lines of steps after `resume_step`, which will be run again; what people were told stays.

        Raises:
            UserError: a line that is not the last is damaged.
        """
        path = run_dir / STEPS
        kept = [values for values in read_steps(path) if values["step"] <= resume_step]
        self.epochs = [values for values in kept if "epoch" in values]  # the metrics of the epochs that are done
        write_text(path, "".join(json.dumps(values) + "\n" for values in kept))
        self._steps = open_to_append(path)
        self._told = open_to_append(run_dir / LOG)
        self._tensorboard = SummaryWriter(str(run_dir), purge_step=resume_step + 1)

    def __enter__(self) -> "Log":
        """Nothing to do: the files are open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self._steps.close()
        self._told.close()
        self._tensorboard.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds a line of numbers: `step` is the number of steps done."""
        self._steps.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)

    def tell(self, line: str) -> None:
        """Adds a line for people to train.log, with the time, and hands it to Python's logging for the screen."""
        self._told.write(f"{time.strftime('%Y-%m-%d %H:%M:%S')} {line}\n")
        logging.getLogger(__name__).info("%s", line)


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
