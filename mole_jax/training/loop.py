"""The training loop of one run: resumes by itself, and gives the variables with the best validation AUROC."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Float, Int
from sklearn.metrics import roc_auc_score
from tqdm import tqdm

from mole_jax.config import RunConfig
from mole_jax.data.dataset import IMAGE_SHAPE, Dataset
from mole_jax.data.loader import steps_per_epoch, train_batches
from mole_jax.data.normalize import normalizer
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.models import MODELS
from mole_jax.models.base import Variables
from mole_jax.training.checkpoint import Checkpoint, Checkpoints
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.predict import predict
from mole_jax.training.rundir import Log
from mole_jax.training.state import TrainState, initial_state, no_sums
from mole_jax.training.steps import make_evaluation_step, make_train_step


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


def train(config: RunConfig, dataset: Dataset, run_dir: Path) -> Trained:
    """Trains to `config.epochs`, from the newest checkpoint in `run_dir` where there is one.

    Raises:
        Interrupted: SIGTERM came; the state has been saved.
        NonFinite: the loss is not finite.
        UserError: the run has already trained for more epochs, or its checkpoint is of another model.
    """
    labels = dataset.labels["train"]
    per_epoch = steps_per_epoch(len(labels), config.batch_size)
    model = MODELS[config.model](config)
    normalize = normalizer(config.normalize, channel_mean=dataset.facts.channel_mean)
    input_shape = (1, *IMAGE_SHAPE)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=input_shape))
    optimizer = build_optimizer(config, model.trainable(shapes["params"]))
    train_step = make_train_step(model, optimizer, normalize, config, class_weights=_class_weights(config, labels))
    evaluation_step = make_evaluation_step(model, normalize)

    def logits_of(split: Split, variables: Variables) -> Float[np.ndarray, " n"]:
        return predict(evaluation_step, variables, dataset.splits[split], batch_size=config.batch_size, what=split)

    state = initial_state(model, optimizer, seed=config.seed, input_shape=input_shape)
    with Checkpoints(run_dir.absolute() / "checkpoints") as checkpoints, _sigterm() as sigterm:
        # A run resumes (1) from its newest checkpoint, (2) else from the seed. The best one is for predictions only.
        figures: dict[str, Any] = {}
        total = per_epoch * config.epochs
        batches = train_batches(
            dataset.splits["train"],
            labels,
            batch_size=config.batch_size,
            steps=total,
            seed=config.seed,
            balance=config.balance,
        )
        start = checkpoints.latest_step or 0
        if start > total:
            raise UserError(
                f"epochs={config.epochs} is {total} steps, but the run in {run_dir} has already done {start}: "
                f"give at least --epochs={-(-start // per_epoch)} or another --run_dir"
            )
        if start:
            state, position, figures = checkpoints.restore(start, state)
            batches.set_state(position)
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
                            logits=logits_of("validation", _variables(state)),
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
                batch = jax.device_put(next(batches))
                state, loss = train_step(state, batch)
                # The loss of the step before: reading this one's would make the device wait for us.
                _write_loss(log, pending)
                pending = (step + 1, loss)
                bar.update()
        best = _variables(checkpoints.restore(checkpoints.best_step, state).state)
    return Trained(best, {split: logits_of(split, best) for split in dataset.splits})


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
