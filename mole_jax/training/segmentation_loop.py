"""The training loop of a segmenter: as that of a run (`loop.py`), with masks in place of diagnoses."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from jaxtyping import Bool
from tqdm import tqdm

from mole_jax.data.loader import evaluation_batches, steps_per_epoch, train_batches
from mole_jax.data.pairs import Pairs
from mole_jax.models import unet
from mole_jax.models.base import Variables
from mole_jax.placement import Placement, one_device
from mole_jax.runs.directory import CHECKPOINTS
from mole_jax.runs.log import Log
from mole_jax.training.checkpoint import Checkpoint, Checkpoints, remove_damaged, writes_beside
from mole_jax.training.epoch_metrics import Losses
from mole_jax.training.loop import Interrupted, stop_signals
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.schedules import rate_share
from mole_jax.training.segmentation import PairSource, mask_logits, mask_step, mean_jaccard
from mole_jax.training.segmentation_config import SegmentConfig
from mole_jax.training.state import TrainState, initial_state, no_sums

BEST_BY: Final = "validation_jaccard"
BATCH: Final = 16  # images to a step of evaluation


def train_unet(config: SegmentConfig, pairs: Pairs, run_dir: Path, identity: str) -> Variables:
    """Trains a U-Net, or goes on from the newest checkpoint in `run_dir`; gives the variables with the best Jaccard on
    validation.

    Args:
        config: of the segmenter.
        pairs: images and masks with their splits.
        run_dir: where metrics.jsonl, train.log and checkpoints/ go.
        identity: of config and pairs; a checkpoint of another one is refused.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came; the state has been saved.
        NonFinite: the loss is not finite.
        UserError: the checkpoint is another run's, or the disk is full.
    """
    training, placement = config.training, one_device()
    train, validation = (PairSource(pairs, pairs.splits[split], config.side) for split in ("train", "validation"))
    per_epoch = steps_per_epoch(len(train), config.batch_size)
    total = per_epoch * config.epochs
    model = unet.model(unet.WIDTHS)
    shape = (1, config.side, config.side, 3)
    abstract = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=shape))
    optimizer = build_optimizer(
        training, model.trainable(abstract["params"]), share=rate_share(training, steps=total, per_epoch=per_epoch)
    )

    def first() -> TrainState:
        return initial_state(model, optimizer, seed=config.seed, input_shape=shape)

    shapes = placement.shapes(jax.eval_shape(first))
    step_on = placement.jit_step(mask_step(model, optimizer, training.augmentation, seed=config.seed), shapes)
    logits_of = placement.jit(lambda variables, batch: mask_logits(model, variables, batch))
    directory = run_dir.absolute() / CHECKPOINTS
    faults = remove_damaged(directory)
    with (
        Checkpoints(directory, identity, best_by=BEST_BY, beside=writes_beside()) as checkpoints,
        ExitStack() as stack,
    ):
        checkpoints.remove_unfinished()
        start = checkpoints.latest_step or 0
        log = stack.enter_context(Log(run_dir, training, resume_step=start))
        for fault in faults:
            log.tell(f"{fault}: that checkpoint and what came after it are not used")
        state = checkpoints.restore(start, shapes).state if start else placement.state(first())
        if start:
            log.tell(f"goes on at step {start:,} of {total:,}")
        stop = stack.enter_context(stop_signals())
        labels = np.zeros(len(train), np.int32)
        batches = train_batches(
            train, labels, batch_size=config.batch_size, start=start, end=total, seed=config.seed, balance="none"
        )
        losses = Losses(log)
        bar = stack.enter_context(tqdm(total=total, initial=start, desc="train", disable=None))
        metrics: dict[str, Any] = {}
        # As in `loop.py`: evaluate, save, stop, step. What is saved is what was evaluated.
        for step in range(start, total + 1):
            if step > start and (step % per_epoch == 0 or stop):
                losses.flush()
                if step % per_epoch == 0:
                    metrics = _evaluate(step, state, validation, logits_of, placement)
                    log.write(step, {"epoch": step // per_epoch, **metrics})
                    log.tell(_line(step // per_epoch, config.epochs, metrics))
                    state = state._replace(epoch=placement.everywhere(no_sums()))
                checkpoints.save(Checkpoint(state, metrics), training)
                if stop and step < total:
                    raise Interrupted(f"saved at step {step} of {total}; the same command goes on from there")
            if step == total:
                break
            state, loss = step_on(state, placement.batch(next(batches)))
            losses.add(step + 1, loss)
            bar.update()
        best: Variables = placement.gathered(checkpoints.restore_variables(checkpoints.best_step, shapes))
        return best


def _evaluate(step: int, state: TrainState, source: PairSource, logits_of: Any, placement: Placement) -> dict[str, Any]:
    found: list[Bool[np.ndarray, "side side"]] = []
    for batch in evaluation_batches(source, batch_size=BATCH):
        logits = np.asarray(logits_of(state.variables, placement.batch(batch)))
        found += list(logits[batch["mask"]] > 0)
    truth = [source[i]["image"][..., 3] >= 128 for i in range(len(source))]
    return {
        "step": step,
        "epoch_train_loss": float(state.epoch.loss) / float(state.epoch.images),
        BEST_BY: mean_jaccard(found, truth),
    }


def _line(epoch: int, epochs: int, metrics: dict[str, Any]) -> str:
    return (
        f"epoch {epoch} of {epochs}: loss {metrics['epoch_train_loss']:.4f}, validation Jaccard {metrics[BEST_BY]:.3f}"
    )
