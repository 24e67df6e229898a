"""The training loop of one run: resumes by itself, and gives the variables with the best validation AUROC."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from mole_jax.backbones.weights import Pretrained
from mole_jax.classifier.network import Stage
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.loader import steps_per_epoch
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.files.writing import write_json
from mole_jax.inputs.normalize import Inputs
from mole_jax.models.base import Variables
from mole_jax.placement import placement_of
from mole_jax.processes import is_first, preempted, several, wait_for_all
from mole_jax.runs.directory import CHECKPOINTS, TIMING
from mole_jax.runs.identity import Identity
from mole_jax.runs.log import Log, Unwritten
from mole_jax.training.checkpoint import Checkpoint, Checkpoints, latest_step, remove_damaged, writes_beside
from mole_jax.training.clock import Clock
from mole_jax.training.epoch_metrics import Losses, Progress, epoch_metrics, out_of_patience
from mole_jax.training.phases import Phase, ends, plan
from mole_jax.training.profile import Profile
from mole_jax.training.state import TrainState, no_sums


class Interrupted(Exception):
    """SIGTERM or Ctrl-C came: the state is saved, the same command goes on from there."""


class Trained(NamedTuple):
    """What a run gives, all from the checkpoint with the best validation AUROC.

    Attributes:
        variables: {"params", "batch_stats"} of the model.
        stage: what that model takes: "images", or for a head alone "head" (features).
        inputs: how images are normalised for it.
        step: the checkpoint's step.
        logits: split -> logit of each image, in the order of its records.
        timing: where the time of this start went, as in timing.json.
    """

    variables: Variables
    stage: Stage
    inputs: Inputs
    step: int
    logits: dict[Split, Float[np.ndarray, "..."]]
    timing: dict[str, float]


def refuse_fewer_epochs(config: RunConfig, dataset: Dataset, run_dir: Path) -> None:
    """Raises UserError where the run has been trained for longer than the config asks; changes nothing."""
    images = len(dataset.splits["train"])
    done, total = latest_step(run_dir / CHECKPOINTS) or 0, ends(config, images)[-1]
    if done > total:
        raise UserError(
            f"epochs={config.epochs} is {total} steps, but the run in {run_dir} has already done {done}: "
            f"give at least --epochs={-(-done // steps_per_epoch(images, config.batch_size))} or another --run_dir"
        )


def train(
    config: RunConfig,
    dataset: Dataset,
    run_dir: Path,
    *,
    pretrained: Pretrained | None = None,
    on_start: Callable[[], None] = lambda: None,
) -> Trained:
    """Trains to `config.epochs`, and fine-tunes where that is asked for, from the newest checkpoint in `run_dir` where
    there is one. Ends earlier where `config.patience` runs out in the last phase.

    Args:
        config: the run's config.
        dataset: the prepared dataset to train on.
        run_dir: where metrics.jsonl, train.log, checkpoints, timing.json (of this start alone) and profile/ go.
        pretrained: the pretrained backbone, for model=transfer; None for other models.
        on_start: called once everything is ready, before the first step.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came; the state has been saved.
        NonFinite: the loss is not finite.
        UserError: the run has already trained for more epochs, or its checkpoint belongs to another model,
            or the mesh is none that these devices and this batch can have.
    """
    refuse_fewer_epochs(config, dataset, run_dir)
    placement = placement_of(config)
    run_dir.mkdir(parents=True, exist_ok=True)
    clock = Clock()
    per_epoch = steps_per_epoch(len(dataset.splits["train"]), config.batch_size)
    total = ends(config, len(dataset.splits["train"]))[-1]
    saves = [per_epoch, *([config.checkpoint_every] if config.checkpoint_every else [])]
    wait_for_all("begin")  # so that none reads a checkpoint while another one removes it
    identity = Identity(config, dataset.facts.fingerprint, pretrained.describe() if pretrained else None).digest()
    faults = remove_damaged(run_dir.absolute() / CHECKPOINTS) if is_first() else []
    wait_for_all("damaged checkpoints are removed")
    with Checkpoints(run_dir.absolute() / CHECKPOINTS, identity, beside=writes_beside()) as checkpoints:
        # A run resumes from its newest checkpoint, or starts from the seed. The best checkpoint is only for
        # predictions, and for the head from which fine-tuning begins.
        checkpoints.remove_unfinished()
        start = checkpoints.latest_step or 0
        with (
            Log(run_dir, config, resume_step=start) if is_first() else Unwritten(run_dir) as log,
            tqdm(total=total, initial=start, desc="train", disable=None if is_first() else True) as bar,
            Profile(run_dir, start=start, steps=config.profile if is_first() else 0) as profile,
            ExitStack() as stack,
        ):
            for fault in faults:
                log.tell(f"{fault}: that checkpoint and what came after it are not used")
            if faults and not start:
                log.tell("begins again at step 0")
            if start:
                log.tell(f"goes on at step {start:,} of {total:,} (epoch {start / per_epoch:g})")
            planned = plan(config, dataset, pretrained, placement, tell=log.tell)
            stop = stack.enter_context(stop_signals())  # before this a signal ends the process: nothing would be lost
            step, phase, last, epochs = start, planned.phase_at(start), planned.phases[-1], [*log.epochs]
            if devices := placement.describe(phase.state):
                log.tell(devices)
            state, metrics = checkpoints.restore(start, phase.state) if start else Checkpoint(phase.begin(None), {})
            feed = phase.feed(start, clock)
            on_start()
            losses, progress, began = (
                Losses(log),
                Progress(config, start, total, per_epoch, log.epochs),
                time.perf_counter(),
            )
            # The order of one round: evaluate, save, stop, change phase, draw and step, log. What is saved is what was
            # evaluated, and nothing has been drawn in between: the state's step says where the loader is.
            while True:
                stop_now = bool(stop) or preempted(step)
                if step > start:
                    epoch_ends = step % per_epoch == 0
                    if epoch_ends:
                        losses.flush()
                        with clock("evaluation"):
                            metrics = _evaluate(step, state, phase, dataset)
                        seconds = {"seconds": round(time.perf_counter() - began, 3), **clock.lap()}
                        log.write(step, {"epoch": step // per_epoch, **metrics, **seconds})
                        epochs.append(metrics)
                        log.tell(progress.line(step, metrics))
                        state = state._replace(epoch=placement.everywhere(no_sums()))
                    if stop_now or any(step % every == 0 for every in saves):
                        losses.flush()
                        with clock("checkpoint"):
                            checkpoints.save(Checkpoint(state, metrics), config)
                    if stop_now and step < total:
                        raise Interrupted(f"saved at step {step} of {total}; the same command goes on from there")
                if step == total:
                    break
                if step % per_epoch == 0 and out_of_patience(epochs, after=last.begins, patience=config.patience):
                    log.tell(f"stops: no better validation AUROC in the last {config.patience} epochs")
                    break
                if step == phase.end:
                    if checkpoints.best_step != step:
                        del state  # two of the largest head do not fit into memory
                        state = checkpoints.restore(checkpoints.best_step, phase.state).state
                    phase = planned.phase_at(step + 1)
                    counts = placement.everywhere({"step": jnp.int32(step), "epoch": no_sums()})
                    state = phase.begin(state)._replace(**counts)
                    feed = phase.feed(step, clock)
                profile.at(step, state)
                with clock("step"):
                    state, of_steps = feed(state, min(step - step % every + every for every in saves))
                    step += of_steps.size
                    losses.add(step, of_steps)
                bar.update(of_steps.size)
        best = state.variables
        del state  # the optimiser's part is two thirds of it
        chosen = checkpoints.best_step
        phase = planned.phase_at(chosen)
        if chosen != step:
            del best
            best = checkpoints.restore_variables(chosen, phase.state)
    with clock("evaluation"):
        logits = {split: phase.logits(split, best, views=config.views) for split in dataset.splits}
    timing = clock.summary()
    best = placement.gathered(best)
    if is_first():
        write_json(run_dir / TIMING, timing)
    return Trained(best, phase.stage, planned.inputs, chosen, logits, timing)


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """Gives a list that is empty until SIGTERM, or Ctrl-C, comes.

    A second Ctrl-C ends the process at once, for those who do not want to wait for the step and the checkpoint.
    """
    received: list[int] = []
    if several():  # JAX tells all processes of a SIGTERM to one of them, and a handler of ours would take it away
        yield received
        return
    if threading.current_thread() is not threading.main_thread():  # Python lets no other thread handle signals
        yield received
        return

    def receive(number: int, _: Any) -> None:
        if number == signal.SIGINT and received:
            raise KeyboardInterrupt
        received.append(number)

    before = {number: signal.signal(number, receive) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _evaluate(step: int, state: TrainState, phase: Phase, dataset: Dataset) -> dict[str, Any]:
    logits = phase.logits("validation", state.variables)
    return epoch_metrics(step, state.epoch, labels=dataset.labels["validation"], logits=logits)
