"""Where a run's numbers go besides its directory, which is the truth: TensorBoard, MLflow, Weights & Biases.

What a service refuses, or that it is not there any more, is a warning and never stops a run.
"""

import logging
import sys
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

from mole_jax.config import RunConfig
from mole_jax.errors import UserError, optional
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json
from mole_jax.runs.directory import TRACKING

PROJECT: Final = "mole_jax"  # what services call the group of all runs

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


@runtime_checkable
class Sink(Protocol):
    """Takes the numbers of one run.

    Attributes:
        name: what the service calls the run; "" where it calls it nothing.
    """

    name: str

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Takes the numbers of a step; `step` is the number of steps done."""
        ...

    def close(self) -> None:
        """Hands over what it still holds."""
        ...


class TensorBoard:
    """Event files in the run's directory: tensorboard --logdir runs."""

    def __init__(self, run_dir: Path, config: RunConfig, known: str, resume_step: int) -> None:
        """Opens a new file, which takes the place of what earlier ones say of steps after `resume_step`."""
        self.name = known
        self._writer = SummaryWriter(str(run_dir), purge_step=resume_step + 1)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """As `Sink.write`."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """As `Sink.close`."""
        self._writer.close()


class Mlflow:
    """A run of MLflow's, at MLFLOW_TRACKING_URI; without it in a database in the working folder."""

    def __init__(self, run_dir: Path, config: RunConfig, known: str, resume_step: int) -> None:
        """Begins MLflow's run, or goes on with the one that was known before."""
        self._mlflow = optional("mlflow", wanted_by="--track=mlflow", extra="mlflow")
        self._client = self._mlflow.MlflowClient()
        if known:
            self.name = known
            return
        experiment = self._mlflow.set_experiment(PROJECT)
        run = self._client.create_run(experiment.experiment_id, run_name=run_dir.name)
        self.name = run.info.run_id
        for name, value in config.to_dict().items():
            self._client.log_param(self.name, name, value)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """As `Sink.write`."""
        for name, value in values.items():
            self._client.log_metric(self.name, name, float(value), step=step)

    def close(self) -> None:
        """As `Sink.close`."""
        self._client.set_terminated(self.name)


class Wandb:
    """A run of Weights & Biases'; WANDB_MODE=offline keeps it in the run's directory, for `wandb sync` later."""

    def __init__(self, run_dir: Path, config: RunConfig, known: str, resume_step: int) -> None:
        """Begins its run, or goes on with the one that was known before."""
        wandb = optional("wandb", wanted_by="--track=wandb", extra="wandb")
        self.name = known or uuid.uuid4().hex[:8]
        self._run = wandb.init(
            project=PROJECT,
            name=run_dir.name,
            id=self.name,
            resume="allow",
            dir=str(run_dir),
            config=config.to_dict(),
        )

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """As `Sink.write`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """As `Sink.close`."""
        self._run.finish()


SINKS: Final[dict[str, Any]] = {"tensorboard": TensorBoard, "mlflow": Mlflow, "wandb": Wandb}


def parse_track(text: str) -> list[str]:
    """The names of the sinks, from "tensorboard,mlflow"; "none" is none.

    Raises:
        UserError: one is not known.
    """
    names = [] if text == "none" else [name.strip() for name in text.split(",")]
    if unknown := [name for name in names if name not in SINKS]:
        raise UserError(f"track={text!r}: {unknown[0]!r} is not one of {', '.join(SINKS)}; none writes to no service")
    return names


def refuse_untrackable(track: str) -> None:
    """Raises UserError where a sink is not known, or its package is not installed."""
    for name in parse_track(track):
        if name != "tensorboard":
            optional(name, wanted_by=f"--track={name}", extra=name)


class Sinks:
    """All sinks of a run."""

    def __init__(self, run_dir: Path, config: RunConfig, resume_step: int) -> None:
        """Opens them; what services call the run is kept in its directory, so that it goes on there too.

        Raises:
            UserError: a sink is not known, or its package is not installed.
        """
        path = run_dir / TRACKING
        known = read_record(path, dict[str, str], remedy="remove it: services then begin anew") if path.exists() else {}
        self._open: dict[str, Sink] = {}
        for name in parse_track(config.track):
            try:
                sink = SINKS[name](run_dir, config, known.get(name, ""), resume_step)
            except UserError:
                raise
            except Exception as error:  # of a service's own kind
                _warn(name, error)
                continue
            self._open[name] = sink
            if sink.name:
                known[name] = sink.name
        if known:
            write_json(path, known)

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Gives the numbers of a step to each."""
        for name, sink in [*self._open.items()]:
            try:
                sink.write(step, values)
            except Exception as error:  # of a service's own kind
                _warn(name, error)
                del self._open[name]

    def close(self) -> None:
        """Closes each."""
        for name, sink in self._open.items():
            try:
                sink.close()
            except Exception as error:  # of a service's own kind
                _warn(name, error)

    @property
    def names(self) -> Sequence[str]:
        """Those that still take numbers."""
        return list(self._open)


def _warn(name: str, error: Exception) -> None:
    first = (str(error).splitlines() or [type(error).__name__])[0]
    logging.getLogger(__name__).warning("%s takes no more numbers of this run, which goes on (%s)", name, first)
