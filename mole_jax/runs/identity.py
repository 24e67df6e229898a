"""What a run is: its config, and the versions, devices, code and data that it depends on."""

import hashlib
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json
from mole_jax.runs.directory import CHECKPOINTS, CONFIG, ENVIRONMENT, METRICS

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


@dataclass(frozen=True)
class Identity:
    """What must be the same each time a run is started.

    Attributes:
        config: of the run.
        fingerprint: of its dataset.
        weights: what `Pretrained.describe` says of the pretrained weights; None where the model has none.
        segmenter: SHA-256 of the weights that find the lesions for `preprocess`, in hex; "" where none do.
    """

    config: RunConfig
    fingerprint: str
    weights: Mapping[str, str | None] | None = None
    segmenter: str = ""

    def digest(self) -> str:
        """SHA-256 of what decides the run's steps, in hex; an option that did not exist yet counts as its default."""
        weights = (self.weights or {}).get("sha256") or ""
        whole = [self.config.chosen, self.fingerprint, weights, *filter(None, [self.segmenter])]
        return hashlib.sha256(json.dumps(whole).encode()).hexdigest()


def refuse_another_run(run_dir: Path, now: Identity) -> None:
    """Checks that the run that is in the directory, if any, is this one; changes nothing.

    Only options that decide no step (`RunConfig`) may differ from an earlier start, so that a run can be trained for
    longer. An option that did not exist then counts as its default.

    Raises:
        UserError: the run here has another config, or its dataset or weights have changed since; the differences are
            listed.
    """
    config_path, environment_path = run_dir / CONFIG, run_dir / ENVIRONMENT
    remedy = "use another --run_dir"
    if missing := [path for path in (config_path, environment_path) if not path.exists()]:
        if any((run_dir / CHECKPOINTS).glob("[0-9]*")):
            raise UserError(
                f"{missing[0]} is missing, so it is not known what the checkpoints beside it belong to: restore it, or "
                f"{remedy}"
            )
        return
    before = RunConfig().to_dict() | read_record(config_path, dict[str, Any], remedy=remedy)
    asked = now.config.to_dict()
    other = [name for name in sorted(now.config.deciding) if before.get(name) != asked[name]]
    different = [f"{name}: {before.get(name)!r} there, {asked[name]!r} now" for name in other]
    if other and set(other) <= {"epochs", "finetune_epochs"}:
        raise UserError(
            f"schedule={now.config.schedule!r} leads to the last epoch, so that another number of them changes every "
            f"step of the run in {run_dir} ({'; '.join(different)}); {remedy}"
        )
    if different:
        raise UserError(f"{run_dir} holds a run with another config ({'; '.join(different)}); {remedy}")
    if before["finetune_epochs"] and before["epochs"] != now.config.epochs:
        raise UserError(
            f"epochs={now.config.epochs} would move the step at which fine-tuning begins, which is after epoch "
            f"{before['epochs']} in {run_dir}; {remedy}"
        )
    environment = read_record(environment_path, dict[str, Any], remedy=remedy)
    trained_on = str(environment.get("dataset_fingerprint"))
    if trained_on != now.fingerprint:
        raise UserError(
            f"the dataset {now.config.dataset!r} has changed since the run in {run_dir} began "
            f"(fingerprint {trained_on[:12]} then, {now.fingerprint[:12]} now); {remedy}"
        )
    then, this = ((of or {}).get("sha256") or "" for of in (environment.get("weights"), now.weights))
    if then != this:
        raise UserError(
            f"the weights {now.config.weights!r} have changed since the run in {run_dir} began "
            f"(sha256 {then[:12]} then, {this[:12]} now); {remedy}"
        )
    if (found_by := environment.get("segmenter") or "") != now.segmenter:
        raise UserError(
            f"the segmenter {now.config.masks!r} has changed since the run in {run_dir} began "
            f"(sha256 {found_by[:12]} then, {now.segmenter[:12]} now); {remedy}"
        )


def is_finished_as(run_dir: Path, now: Identity) -> bool:
    """Whether the directory holds this run, and it has nothing left to do.

    Raises:
        UserError: as `refuse_another_run`.
    """
    refuse_another_run(run_dir, now)
    if not (run_dir / METRICS).is_file():
        return False
    before = RunConfig().to_dict() | read_record(run_dir / CONFIG, dict[str, Any], remedy="use another --run_dir")
    asked = now.config.to_dict()
    return all(before[name] == asked[name] for name in ("epochs", "finetune_epochs", "patience", "views"))


def write_identity(run_dir: Path, identity: Identity, *, devices: Sequence[str] = ()) -> None:
    """Writes config.json and environment.json.

    Args:
        run_dir: of the run, which has been checked by `refuse_another_run`.
        identity: of the run.
        devices: what the steps run on, for the record.
    """
    write_json(run_dir / CONFIG, identity.config.to_dict())
    environment = _environment(identity.fingerprint, devices)
    of_segmenter = {"segmenter": identity.segmenter} if identity.segmenter else {}
    write_json(run_dir / ENVIRONMENT, environment | {"weights": identity.weights} | of_segmenter)


def _environment(fingerprint: str, devices: Sequence[str]) -> dict[str, Any]:
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
