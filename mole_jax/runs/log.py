"""What happened: metrics.jsonl step by step, the same numbers for TensorBoard, and what people were told."""

import json
import logging
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mole_jax.files.writing import write_text
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
        """Drops the lines of steps after `resume_step`, which will be run again; what people were told stays."""
        path = run_dir / STEPS
        kept = []
        self.epochs: list[dict[str, Any]] = []  # the metrics of the epochs that are done
        if path.exists():
            for line in path.read_text(encoding="utf-8").splitlines():
                try:
                    values = json.loads(line)
                    if values["step"] <= resume_step:
                        kept.append(line + "\n")
                        self.epochs += [values] if "epoch" in values else []
                except json.JSONDecodeError:  # the process was killed in the middle of this line
                    break
        write_text(path, "".join(kept))
        self._steps = path.open("a", encoding="utf-8", buffering=1)
        self._told = (run_dir / LOG).open("a", encoding="utf-8", buffering=1)
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
