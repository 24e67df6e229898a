"""Running the project's commands as a user does."""

import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.harness import ROOT


def run(module: str, *flags: str) -> float:
    """Runs a command to its end and gives its seconds; what it prints goes where this process's errors go.

    Raises:
        CalledProcessError: it failed.
    """
    began = time.perf_counter()
    subprocess.run([sys.executable, "-m", module, *flags], cwd=ROOT, stdout=sys.stderr, check=True)
    return time.perf_counter() - began


def train_until(
    losses: int, run_dir: Path, flags: Sequence[str], environment: Mapping[str, str] | None = None
) -> float:
    """Starts `experiments.run`, stops it when it has logged so many losses, and gives the seconds until then.

    Stopped by SIGTERM, it saves its state and ends by itself.

    Raises:
        RuntimeError: it ended before.
    """
    metrics = run_dir / "metrics.jsonl"
    began = time.perf_counter()
    child = subprocess.Popen(
        [sys.executable, "-m", "experiments.run", f"--run_dir={run_dir}", *flags],
        cwd=ROOT,
        stdout=sys.stderr,
        env={**os.environ, **(environment or {})},
    )
    try:
        while not metrics.exists() or metrics.read_text().count('"train_loss"') < losses:
            if child.poll() is not None:
                raise RuntimeError(f"experiments.run ended with status {child.returncode} before its {losses}. loss")
            time.sleep(0.02)
        return time.perf_counter() - began
    finally:
        child.terminate()
        child.wait()
