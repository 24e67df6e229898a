"""The files of a run directory that training writes: who holds it, what it is, and what happened step by step."""

import fcntl
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import jax

from mole_jax.config import NOT_IDENTITY, RunConfig
from mole_jax.errors import UserError
from mole_jax.files import write_text
from mole_jax.training.tensorboard import SummaryWriter

PACKAGES = (
    "jax",
    "jaxlib",
    "flax",
    "optax",
    "orbax-checkpoint",
    "grain",
    "tensorflow-datasets",
    "numpy",
    "scikit-learn",
    "pillow",
)


@contextmanager
def exclusive(run_dir: Path) -> Iterator[None]:
    """Holds the run directory; the lock goes with the process, however it ends.

    Raises:
        UserError: another process holds it.
    """
    run_dir.mkdir(parents=True, exist_ok=True)
    with (run_dir / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(f"another process is training in {run_dir}; wait for it or use another --run_dir") from None
        yield


def write_json(path: Path, value: Any) -> None:
    """Writes readable JSON; the file appears whole or not at all."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def claim(
    run_dir: Path, config: RunConfig, *, fingerprint: str, weights: Mapping[str, str | None] | None = None
) -> None:
    """Writes config.json and environment.json, or checks that the run that is here is this one.

    Only the fields in `config.NOT_IDENTITY` may differ from an earlier start, so that a run can be trained for longer.
    A field that did not exist then counts as its default.

    Args:
        run_dir: where.
        config: of this run.
        fingerprint: of its dataset.
        weights: what `Pretrained.describe` says of the pretrained weights; None where the model has none.

    Raises:
        UserError: the run here has another config, or its dataset or weights have changed since; the differences are
            listed.
    """
    config_path, environment_path = run_dir / "config.json", run_dir / "environment.json"
    if config_path.exists() and environment_path.exists():
        before, now = RunConfig().to_dict() | json.loads(config_path.read_text()), config.to_dict()
        different = [
            f"{name}: {before.get(name)!r} there, {now.get(name)!r} now"
            for name in sorted(before.keys() | now.keys())
            if name not in NOT_IDENTITY and before.get(name) != now.get(name)
        ]
        if different:
            raise UserError(
                f"{run_dir} holds a run with another config ({'; '.join(different)}); use another --run_dir"
            )
        if before["finetune_epochs"] and before["epochs"] != config.epochs:
            raise UserError(
                f"epochs={config.epochs} would move the step at which fine-tuning begins, which is after epoch "
                f"{before['epochs']} in {run_dir}; use another --run_dir"
            )
        earlier = json.loads(environment_path.read_text())
        trained_on = earlier["dataset_fingerprint"]
        if trained_on != fingerprint:
            raise UserError(
                f"the dataset {config.dataset!r} has changed since the run in {run_dir} began "
                f"(fingerprint {trained_on[:12]} then, {fingerprint[:12]} now); use another --run_dir"
            )
        refuse_changed_weights(run_dir, config.weights, earlier, weights, otherwise="use another --run_dir")
    write_json(config_path, config.to_dict())
    write_json(environment_path, environment(fingerprint) | {"weights": weights})


def refuse_changed_weights(
    run_dir: Path, name: str, earlier: Mapping[str, Any], weights: Mapping[str, str | None] | None, *, otherwise: str
) -> None:
    """Raises UserError unless a run's pretrained weights are those that it began with.

    Args:
        run_dir: of the run.
        name: of the weights, for the message.
        earlier: the run's environment.json.
        weights: what `Pretrained.describe` says of them now; None where the model has none.
        otherwise: what the user may do.
    """
    then, now = ((of or {}).get("sha256") or "" for of in (earlier.get("weights"), weights))
    if then != now:
        raise UserError(
            f"the weights {name!r} have changed since the run in {run_dir} began "
            f"(sha256 {then[:12]} then, {now[:12]} now); {otherwise}"
        )


def environment(fingerprint: str) -> dict[str, Any]:
    """What the run depends on besides its config: versions, devices, code and data."""
    versions: dict[str, str | None] = {}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            versions[package] = None
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "python": platform.python_version(),
        "packages": versions,
        "platform": platform.platform(),
        "devices": [device.device_kind for device in jax.devices()],
        "cpu_count": os.cpu_count(),
        "xla_flags": os.environ.get("XLA_FLAGS", ""),
        "git_commit": _git_commit(),
        "dataset_fingerprint": fingerprint,
    }


def _git_commit() -> str | None:
    root = Path(__file__).parents[2]
    try:
        run = subprocess.run(
            ["git", "-C", str(root), "describe", "--always", "--dirty", "--abbrev=40"],
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return run.stdout.strip()


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
