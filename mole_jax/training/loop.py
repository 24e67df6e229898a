"""The training loop of one run: resumes by itself, and gives the variables with the best validation AUROC."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.loader import steps_per_epoch, train_batches
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.models.base import Variables
from mole_jax.pretrained.weights import Pretrained
from mole_jax.training.checkpoint import Checkpoint, Checkpoints
from mole_jax.training.phases import Phase, plan
from mole_jax.training.predict import predict
from mole_jax.training.rundir import Log
from mole_jax.training.state import TrainState, no_sums


class Interrupted(Exception):
    """SIGTERM came: the state is saved, the same command goes on from there."""


class NonFinite(Exception):
    """A metric became infinite or NaN; says which, at which step."""


class Trained(NamedTuple):
    """What a run gives, all from the checkpoint with the best validation AUROC.

    Attributes:
        variables: {"params", "batch_stats"}.
        logits: of every split, in the order of its records.
    """

    variables: Variables
    logits: dict[Split, Float[np.ndarray, "..."]]


@contextmanager
def _sigterm() -> Iterator[list[int]]:
    """Gives a list that is empty until SIGTERM comes."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def train(config: RunConfig, dataset: Dataset, run_dir: Path, *, pretrained: Pretrained | None = None) -> Trained:
    """Trains to `config.epochs`, and fine-tunes where that is asked for, from the newest checkpoint in `run_dir` where
    there is one.

    Args:
        config: of the run.
        dataset: prepared.
        run_dir: where metrics.jsonl and checkpoints go.
        pretrained: the backbone of model=transfer.

    Raises:
        Interrupted: SIGTERM came; the state has been saved.
        NonFinite: the loss is not finite.
        UserError: the run has already trained for more epochs, or its checkpoint is of another model.
    """
    labels = dataset.labels["train"]
    per_epoch = steps_per_epoch(len(labels), config.batch_size)
    phases = plan(config, dataset, pretrained, class_weights=_class_weights(config, labels))
    total = phases[-1].end

    def phase_at(step: int) -> Phase:
        """The phase whose state is saved at that step."""
        return next(phase for phase in phases if step <= phase.end)

    def batches_of(phase: Phase) -> Any:
        return train_batches(
            phase.sources["train"],
            labels,
            batch_size=config.batch_size,
            steps=phase.end,
            seed=config.seed,
            balance=config.balance,
        )

    def logits_of(split: Split, phase: Phase, variables: Variables) -> Float[np.ndarray, " n"]:
        return predict(phase.evaluation_step, variables, phase.sources[split], batch_size=config.batch_size, what=split)

    with Checkpoints(run_dir.absolute() / "checkpoints") as checkpoints, _sigterm() as sigterm:
        # A run resumes (1) from its newest checkpoint, (2) else from the seed. The best checkpoint is only for
        # predictions, and for the head from which fine-tuning begins.
        start = checkpoints.latest_step or 0
        if start > total:
            raise UserError(
                f"epochs={config.epochs} is {total} steps, but the run in {run_dir} has already done {start}: "
                f"give at least --epochs={-(-start // per_epoch)} or another --run_dir"
            )
        phase = phase_at(start)
        batches = batches_of(phase)
        figures: dict[str, Any] = {}
        if start:
            state, position, figures = checkpoints.restore(start, phase.state)
            batches.set_state(position)
        else:
            state = phase.begin(None)
        # The order of one round: evaluate, save, draw, step, log. What is saved is what was evaluated, and the
        # loader's saved position is that of the saved state, since nothing has been drawn in between.
        with (
            Log(run_dir, resume_step=start) as log,
            tqdm(total=total, initial=start, desc="train", disable=None) as bar,
        ):
            began = time.perf_counter()
            pending: tuple[int, jax.Array] | None = None
            for step in range(start, total + 1):
                if step > start:
                    epoch_ends = step % per_epoch == 0
                    if epoch_ends:
                        _write_loss(log, pending)
                        pending = None
                        figures = _epoch_figures(
                            step,
                            state,
                            labels=dataset.labels["validation"],
                            logits=logits_of("validation", phase, _variables(state)),
                        )
                        log.write(
                            step,
                            {"epoch": step // per_epoch, **figures, "seconds": round(time.perf_counter() - began, 3)},
                        )
                        state = state._replace(epoch=no_sums())
                        bar.set_postfix({k: f"{v:.3f}" for k, v in figures.items() if k != "step"}, refresh=False)
                    if epoch_ends or sigterm or (config.checkpoint_every and step % config.checkpoint_every == 0):
                        _write_loss(log, pending)
                        pending = None
                        checkpoints.save(Checkpoint(state, batches.get_state(), figures), config)
                    if sigterm and step < total:
                        raise Interrupted(f"saved at step {step} of {total}; the same command goes on from there")
                if step == total:
                    break
                if step == phase.end:
                    if checkpoints.best_step != step:
                        del state  # two of the largest head do not fit into memory
                        state = checkpoints.restore(checkpoints.best_step, phase.state).state
                    position, phase = batches.get_state(), phase_at(step + 1)
                    state = phase.begin(state)._replace(step=jnp.int32(step), epoch=no_sums())
                    batches = batches_of(phase)
                    batches.set_state(position)
                batch = jax.device_put(next(batches))
                state, loss = phase.train_step(state, batch)
                # The loss of the step before: reading this one's would make the device wait for us.
                _write_loss(log, pending)
                pending = (step + 1, loss)
                bar.update()
        best_step = checkpoints.best_step
        if best_step != total:
            del state
            state = checkpoints.restore(best_step, phase_at(best_step).state).state
        phase, best = phase_at(best_step), _variables(state)
    return Trained(best, {split: logits_of(split, phase, best) for split in dataset.splits})


def _variables(state: TrainState) -> Variables:
    return {"params": state.params, "batch_stats": state.batch_stats}


def _class_weights(config: RunConfig, labels: Int[np.ndarray, " n"]) -> tuple[float, float]:
    """Weights that make both classes count the same in the loss, 1 on average over the images."""
    if config.balance != "weights":
        return 1.0, 1.0
    melanomas = int(labels.sum())
    return len(labels) / (2 * (len(labels) - melanomas)), len(labels) / (2 * melanomas)


def _write_loss(log: Log, pending: tuple[int, jax.Array] | None) -> None:
    if pending is None:
        return
    step, loss = pending[0], float(pending[1])
    if not np.isfinite(loss):
        raise NonFinite(
            f"train_loss is {loss} at step {step}; the newest checkpoint is from before; lower --learning_rate"
        )
    log.write(step, {"train_loss": loss})


def _epoch_figures(
    step: int, state: TrainState, *, labels: Int[np.ndarray, " n"], logits: Float[np.ndarray, " n"]
) -> dict[str, Any]:
    if not np.isfinite(logits).all():
        raise NonFinite(f"the validation logits are not finite at step {step}; lower --learning_rate")
    count = float(state.epoch.images)
    return {
        "step": step,
        "epoch_train_loss": float(state.epoch.loss) / count,
        "epoch_train_accuracy": float(state.epoch.correct) / count,
        "validation_loss": float((np.logaddexp(0, logits) - labels * logits).mean()),
        "validation_accuracy": float(((logits >= 0) == (labels == 1)).mean()),
        "validation_auroc": float(roc_auc_score(labels, logits)),
    }
