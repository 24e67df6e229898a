"""The training loop of one run: resumes by itself, and gives the variables with the best validation AUROC."""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from mole_jax.backbones.weights import Pretrained
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.loader import steps_per_epoch
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.files.writing import write_json
from mole_jax.models.base import Variables
from mole_jax.runs.log import Log
from mole_jax.training.checkpoint import Checkpoint, Checkpoints
from mole_jax.training.clock import Clock
from mole_jax.training.epoch_metrics import Losses, epoch_metrics
from mole_jax.training.phases import Phase, phase_at, plan
from mole_jax.training.profile import Profile
from mole_jax.training.state import TrainState, no_sums


class Interrupted(Exception):
    """SIGTERM came: the state is saved, the same command goes on from there."""


class Trained(NamedTuple):
    """What a run gives, all from the checkpoint with the best validation AUROC.

    Attributes:
        variables: {"params", "batch_stats"}.
        logits: of every split, in the order of its records.
    """

    variables: Variables
    logits: dict[Split, Float[np.ndarray, "..."]]


def train(config: RunConfig, dataset: Dataset, run_dir: Path, *, pretrained: Pretrained | None = None) -> Trained:
    """Trains to `config.epochs`, and fine-tunes where that is asked for, from the newest checkpoint in `run_dir` where
    there is one.

    Args:
        config: of the run.
        dataset: prepared.
        run_dir: where metrics.jsonl, checkpoints, timing.json (of this start alone) and profile/ go.
        pretrained: the backbone of model=transfer.

    Raises:
        Interrupted: SIGTERM came; the state has been saved.
        NonFinite: the loss is not finite.
        UserError: the run has already trained for more epochs, or its checkpoint is of another model.
    """
    clock = Clock()
    phases = plan(config, dataset, pretrained)
    per_epoch, total = steps_per_epoch(len(dataset.splits["train"]), config.batch_size), phases[-1].end
    saves = [per_epoch, *([config.checkpoint_every] if config.checkpoint_every else [])]
    with Checkpoints(run_dir.absolute() / "checkpoints") as checkpoints, _sigterm() as sigterm:
        # A run resumes (1) from its newest checkpoint, (2) else from the seed. The best checkpoint is only for
        # predictions, and for the head from which fine-tuning begins.
        checkpoints.remove_superseded()
        start = checkpoints.latest_step or 0
        if start > total:
            raise UserError(
                f"epochs={config.epochs} is {total} steps, but the run in {run_dir} has already done {start}: "
                f"give at least --epochs={-(-start // per_epoch)} or another --run_dir"
            )
        step, phase = start, phase_at(phases, start)
        state, figures = checkpoints.restore(start, phase.state) if start else Checkpoint(phase.begin(None), {})
        feed = phase.feed(start, clock)
        with (
            Log(run_dir, resume_step=start) as log,
            tqdm(total=total, initial=start, desc="train", disable=None) as bar,
            Profile(run_dir, start=start, steps=config.profile) as profile,
        ):
            losses, began = Losses(log), time.perf_counter()
            # The order of one round: evaluate, save, stop, change phase, draw and step, log. What is saved is what was
            # evaluated, and nothing has been drawn in between: the state's step says where the loader is.
            while True:
                if step > start:
                    epoch_ends = step % per_epoch == 0
                    if epoch_ends:
                        losses.flush()
                        with clock("evaluation"):
                            figures = _evaluate(step, state, phase, dataset)
                        seconds = {"seconds": round(time.perf_counter() - began, 3), **clock.lap()}
                        log.write(step, {"epoch": step // per_epoch, **figures, **seconds})
                        bar.set_postfix({k: f"{v:.3f}" for k, v in figures.items() if k != "step"}, refresh=False)
                        state = state._replace(epoch=no_sums())
                    if sigterm or any(step % every == 0 for every in saves):
                        losses.flush()
                        with clock("checkpoint"):
                            checkpoints.save(Checkpoint(state, figures), config)
                    if sigterm and step < total:
                        raise Interrupted(f"saved at step {step} of {total}; the same command goes on from there")
                if step == total:
                    break
                if step == phase.end:
                    if checkpoints.best_step != step:
                        del state  # two of the largest head do not fit into memory
                        state = checkpoints.restore(checkpoints.best_step, phase.state).state
                    phase = phase_at(phases, step + 1)
                    state = phase.begin(state)._replace(step=jnp.int32(step), epoch=no_sums())
                    feed = phase.feed(step, clock)
                profile.at(step, state)
                with clock("step"):
                    state, of_steps = feed(state, min(step - step % every + every for every in saves))
                    step += of_steps.size
                    losses.add(step, of_steps)
                bar.update(of_steps.size)
        best = _variables(state)
        del state  # the optimiser's part is two thirds of it
        phase = phase_at(phases, checkpoints.best_step)
        if checkpoints.best_step != total:
            del best
            best = checkpoints.restore_variables(checkpoints.best_step, phase.state)
    with clock("evaluation"):
        logits = {split: phase.logits(split, best) for split in dataset.splits}
    write_json(run_dir / "timing.json", clock.summary())
    return Trained(best, logits)


@contextmanager
def _sigterm() -> Iterator[list[int]]:
    """Gives a list that is empty until SIGTERM comes."""
    received: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _: received.append(number))
    try:
        yield received
    finally:
        signal.signal(signal.SIGTERM, before)


def _variables(state: TrainState) -> Variables:
    return {"params": state.params, "batch_stats": state.batch_stats}


def _evaluate(step: int, state: TrainState, phase: Phase, dataset: Dataset) -> dict[str, Any]:
    logits = phase.logits("validation", _variables(state))
    return epoch_metrics(step, state.epoch, labels=dataset.labels["validation"], logits=logits)
