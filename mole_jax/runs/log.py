"""What happened step by step: metrics.jsonl, and the same numbers for TensorBoard."""

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mole_jax.files.writing import write_text

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
    """metrics.jsonl, one object a line, and the same numbers as TensorBoard events; a context manager."""

    def __init__(self, run_dir: Path, *, resume_step: int) -> None:
        """Drops the lines of steps after `resume_step`, which will be run again."""
        path = run_dir / "metrics.jsonl"
        kept = []
        if path.exists():
            for line in path.read_text().splitlines():
                try:
                    if json.loads(line)["step"] <= resume_step:
                        kept.append(line + "\n")
                except json.JSONDecodeError:  # the process was killed in the middle of this line
                    break
        write_text(path, "".join(kept))
        self._file = path.open("a", buffering=1)
        self._tensorboard = SummaryWriter(str(run_dir), purge_step=resume_step + 1)

    def __enter__(self) -> "Log":
        """Nothing to do: the files are open."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the files."""
        self._file.close()
        self._tensorboard.close()

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Adds one line: `step` is the number of steps done."""
        self._file.write(json.dumps({"step": step, **values}) + "\n")
        for name, value in values.items():
            self._tensorboard.add_scalar(name, value, step)
