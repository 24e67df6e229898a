"""What a run writes down as it trains: the loss of each step, and the metrics of each epoch."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Float, Int

from mole_jax.config import RunConfig
from mole_jax.evaluation.statistics.auroc import auroc
from mole_jax.runs.log import Log
from mole_jax.training.state import Sums


class NonFinite(Exception):
    """A metric became infinite or NaN; the message names it and the step."""


class Progress:
    """One line an epoch for people."""

    def __init__(
        self, config: RunConfig, start: int, total: int, per_epoch: int, earlier: Sequence[Mapping[str, Any]] = ()
    ) -> None:
        """Starts the clock.

        Args:
            config: the run's config; `batch_size` is read.
            start: number of steps done before this start.
            total: number of steps of the whole run.
            per_epoch: number of steps of an epoch.
            earlier: the metrics of the epochs before `start`.
        """
        self._size, self._start, self._total, self._per_epoch = config.batch_size, start, total, per_epoch
        self._began = self._lap = time.perf_counter()
        self._at_lap = start
        self._best = max(((each["validation_auroc"], each["epoch"]) for each in earlier), default=(-math.inf, 0))

    def line(self, step: int, metrics: Mapping[str, Any]) -> str:
        """Epoch, losses, validation AUROC, the best so far, images a second and the time left.

        Args:
            step: the number of steps done.
            metrics: the epoch's metrics, from `epoch_metrics`.
        """
        now, epoch = time.perf_counter(), step // self._per_epoch
        self._best = max(self._best, (metrics["validation_auroc"], epoch))
        speed = (step - self._at_lap) * self._size / (now - self._lap)
        left = (now - self._began) / (step - self._start) * (self._total - step)
        self._lap, self._at_lap = now, step
        best, of_epoch = self._best
        return (
            f"epoch {epoch} of {-(-self._total // self._per_epoch)}: "
            f"loss {metrics['epoch_train_loss']:.4f}, validation loss {metrics['validation_loss']:.4f}, "
            f"validation AUROC {metrics['validation_auroc']:.3f} (best {best:.3f}, epoch {of_epoch}), "
            f"{speed:,.0f} images/s, {_duration(left)} left"
        )


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"


class Losses:
    """The losses on their way to the log, read one call late: reading the newest would make the device wait for us."""

    def __init__(self, log: Log) -> None:
        """Prepares to write to `log`."""
        self._log = log
        self._pending: tuple[int, jax.Array] | None = None

    def add(self, step: int, losses: Float[jax.Array, "..."]) -> None:
        """Writes what was added before and keeps these.

        Args:
            step: the number of steps done, the last of these included.
            losses: the losses of the last steps, one or more.

        Raises:
            NonFinite: one of those added before is not finite.
        """
        self.flush()
        self._pending = step, losses

    def flush(self) -> None:
        """Writes what has not been written yet."""
        if self._pending is None:
            return
        (end, pending), self._pending = self._pending, None
        losses = np.atleast_1d(np.asarray(pending)).tolist()
        for step, loss in enumerate(losses, end - len(losses) + 1):
            if not np.isfinite(loss):
                raise NonFinite(
                    f"train_loss is {loss} at step {step}; the newest checkpoint is from before; lower --learning_rate"
                )
            self._log.write(step, {"train_loss": loss})


def out_of_patience(epochs: Sequence[Mapping[str, Any]], *, after: int, patience: int) -> bool:
    """Whether the last epochs, `patience` of them, brought no validation AUROC better than the best before.

    Args:
        epochs: the metrics of the epochs that are done, from `epoch_metrics`.
        after: only epochs that end after this step count.
        patience: a number of epochs; 0: never.
    """
    aurocs = [each["validation_auroc"] for each in epochs if each["step"] > after]
    return 0 < patience < len(aurocs) and max(aurocs[-patience:]) <= max(aurocs[:-patience])


def epoch_metrics(
    step: int, sums: Sums, *, labels: Int[np.ndarray, " n"], logits: Float[np.ndarray, " n"]
) -> dict[str, Any]:
    """The metrics at the end of an epoch.

    Args:
        step: the number of steps done.
        sums: loss and counts, summed over the epoch's training images.
        labels: the labels of the validation split, 0 or 1.
        logits: the model's logits for the same images, in the same order.

    Raises:
        NonFinite: a logit is not finite.
    """
    if not np.isfinite(logits).all():
        raise NonFinite(f"the validation logits are not finite at step {step}; lower --learning_rate")
    count = float(sums.images)
    return {
        "step": step,
        "epoch_train_loss": float(sums.loss) / count,
        "epoch_train_accuracy": float(sums.correct) / count,
        "validation_loss": float((np.logaddexp(0, logits) - labels * logits).mean()),
        "validation_accuracy": float(((logits >= 0) == (labels == 1)).mean()),
        "validation_auroc": auroc(labels, logits),
    }
