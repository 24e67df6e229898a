"""What a run is: its config, and the versions, devices, code and data that it depends on."""

import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mole_jax.config import NOT_IDENTITY, RunConfig
from mole_jax.errors import UserError
from mole_jax.files.writing import write_json

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


def claim(
    run_dir: Path,
    config: RunConfig,
    *,
    fingerprint: str,
    weights: Mapping[str, str | None] | None = None,
    devices: Sequence[str] = (),
) -> None:
    """Writes config.json and environment.json, or checks that the run that is here is this one.

    Only the fields in `config.NOT_IDENTITY` may differ from an earlier start, so that a run can be trained for longer.
    A field that did not exist then counts as its default.

    Args:
        run_dir: where.
        config: of this run.
        fingerprint: of its dataset.
        weights: what `Pretrained.describe` says of the pretrained weights; None where the model has none.
        devices: what the steps run on, for the record.

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
    write_json(environment_path, environment(fingerprint, devices) | {"weights": weights})


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


def environment(fingerprint: str, devices: Sequence[str]) -> dict[str, Any]:
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
        "devices": list(devices),
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
