"""A segmenter from images and masks: trained on whole lesions, judged on others, stored for `--masks`."""

import csv
import dataclasses
import hashlib
import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jax
import numpy as np
from jaxtyping import Bool, Int
from tqdm import tqdm

from mole_jax.classifier.preprocess import Preprocessor
from mole_jax.classifier.segmenter import Segmenter, open_segmenter, save_segmenter
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.loader import evaluation_batches, steps_per_epoch, train_batches
from mole_jax.data.pairs import Pairs, load_pairs, pairs_of, part_of
from mole_jax.data.records import SPLITS
from mole_jax.errors import UserError
from mole_jax.evaluation.masks import MaskFigures, agreement, mask_figures
from mole_jax.files.changes import remove_file
from mole_jax.files.csv_table import write_rows
from mole_jax.files.reading import read_record
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import write_json
from mole_jax.models import unet
from mole_jax.placement import Placement, one_device
from mole_jax.runs.directory import CHECKPOINTS, CONFIG, LOG, METRICS, STEPS, hold
from mole_jax.runs.log import Log
from mole_jax.training.checkpoint import Checkpoint, Checkpoints, remove_damaged
from mole_jax.training.epoch_metrics import Losses
from mole_jax.training.loop import Interrupted, stop_signals
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.schedules import rate_share
from mole_jax.training.segmentation import PairSource, mask_logits, mask_step, mean_jaccard
from mole_jax.training.state import TrainState, initial_state, no_sums

SEGMENTATION: Final = "segmentation"  # the kind of its directory
IMAGES: Final = "images.csv"  # which image is in which split
FILES: Final = (CONFIG, STEPS, LOG, IMAGES, METRICS)
BEST_BY: Final = "validation_jaccard"
BATCH: Final = 16  # images to a step of evaluation
DEEPEST: Final = 2 ** (len(unet.WIDTHS) - 1)
OTHERWISE: Final = "give another --run_dir"


@dataclass(frozen=True)
class SegmentConfig:
    """What a segmenter is trained on and how.

    Attributes:
        images: the folder of images; "" where a dataset gives them.
        masks: the folder of their masks; likewise.
        dataset: the name of a prepared dataset with masks; "" where folders give them.
        data_dir: where prepared datasets lie.
        side: of the images as the network sees them, in pixels.
        epochs: passes over the training split.
        batch_size: images a step.
        learning_rate: of Adam, which falls to 0 as a cosine.
        augment: random changes of images and masks, as of `RunConfig`.
        seed: of splits, weights, order and changes.
        run_dir: where it writes; "": runs/segmenter-<hash of this>.
    """

    images: str = ""
    masks: str = ""
    dataset: str = ""
    data_dir: str = "data"
    side: int = 96
    epochs: int = 25
    batch_size: int = 16
    learning_rate: float = 2e-3
    augment: str = "dihedral rotate=180 shift=.1 zoom=.2 color=.2 hue=.02"
    seed: int = 0
    run_dir: str = ""

    def __post_init__(self) -> None:
        """Checks what can be checked without the images."""
        if bool(self.dataset) == bool(self.images or self.masks) or bool(self.images) != bool(self.masks):
            raise UserError("give --images=DIR and --masks=DIR, or --dataset=NAME of a dataset prepared with --masks")
        if self.side < DEEPEST or self.side % DEEPEST:
            raise UserError(
                f"side={self.side}: the network halves it {len(unet.WIDTHS) - 1} times; give a multiple of {DEEPEST}"
            )
        how = self.training.augmentation
        if how.mixup or how.cutmix or how.size:
            raise UserError(f"augment={self.augment!r}: mixup, cutmix and size are for classifiers; leave them out")

    @property
    def training(self) -> RunConfig:
        """The part that every training has; its values are checked there."""
        return RunConfig(
            model="cnn",
            epochs=self.epochs,
            batch_size=self.batch_size,
            learning_rate=self.learning_rate,
            schedule="cosine",
            warmup_epochs=min(1.0, self.epochs / 2),
            augment=self.augment,
            balance="none",
            seed=self.seed,
            mesh="1",
        )

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain JSON values."""
        return dataclasses.asdict(self)

    @property
    def name(self) -> str:
        """What its directory is called where nobody says otherwise."""
        deciding = {name: value for name, value in self.to_dict().items() if name not in ("run_dir", "data_dir")}
        return f"segmenter-{hashlib.sha256(json.dumps(deciding).encode()).hexdigest()[:8]}"


@dataclass(frozen=True)
class Segmented:
    """What training gives: the segmenter, the figures of `validation` and `test`, and k-means' on the same images."""

    run_dir: Path
    segmenter: Segmenter
    figures: dict[str, MaskFigures]


def read_pairs(config: SegmentConfig) -> Pairs:
    """The images and masks that a config names.

    Raises:
        UserError: as `load_pairs`, `load_dataset` and `pairs_of`.
    """
    if config.dataset:
        return pairs_of(load_dataset(Path(config.data_dir), config.dataset))
    return load_pairs(Path(config.images), Path(config.masks), seed=config.seed)


def train_segmenter(config: SegmentConfig, *, on_ready: Callable[[str], None] = lambda _: None) -> Segmented:
    """Trains a U-Net, or goes on where an earlier start stopped, and writes its directory.

    Args:
        config: of the segmenter. An empty `run_dir` is filled in.
        on_ready: called once with a line for people, when all is checked.

    Raises:
        Interrupted: SIGTERM or Ctrl-C came; the state has been saved.
        NonFinite: the loss is not finite.
        UserError: no such images, another run in the directory, no room left.
    """
    run_dir = Path(config.run_dir or f"runs/{config.name}")
    config = dataclasses.replace(config, run_dir=str(run_dir))
    with hold(run_dir, SEGMENTATION, FILES):
        _refuse_another(run_dir, config)
        pairs = read_pairs(config)
        counts = ", ".join(f"{len(pairs.splits[split]):,} {split}" for split in SPLITS)
        on_ready(f"{pairs.source} ({counts}), {len(pairs.quarantined):,} left out\nrun directory {run_dir}")
        claim(run_dir, SEGMENTATION, FILES, alone=True, otherwise=OTHERWISE)
        remove_file(run_dir / METRICS)
        identity = hashlib.sha256(json.dumps([_deciding(config), pairs.fingerprint()]).encode()).hexdigest()
        write_json(run_dir / CONFIG, config.to_dict())
        _write_images(run_dir, pairs)
        variables = _train(config, pairs, run_dir, identity)
        segmenter = save_segmenter(variables, run_dir, side=config.side, trained_on=pairs.source)
        by_network = Preprocessor("lesion_only", "segmenter", segmenter)
        figures = {split: judge(by_network, pairs, pairs.splits[split]) for split in ("validation", "test")}
        figures["test_kmeans"] = judge(Preprocessor("lesion_only", "kmeans"), pairs, pairs.splits["test"])
        write_json(run_dir / METRICS, figures)
        seal(run_dir, SEGMENTATION)
    return Segmented(run_dir, segmenter, figures)


def judge(finder: Preprocessor, pairs: Pairs, places: Int[np.ndarray, " n"]) -> MaskFigures:
    """How well the masks that are found agree with the given ones, at 224x224."""
    found = [finder.find(pairs.images[i][None])[0] for i in tqdm(places, desc="judging", leave=False, disable=None)]
    return mask_figures(
        [agreement(mask, pairs.masks[i]) for mask, i in zip(found, places, strict=True)],
        pairs.groups[places],
        empty=sum(not mask.any() for mask in found),
    )


def judge_on(masks: str, pairs: Pairs) -> tuple[MaskFigures, int]:
    """Judges k-means or a segmenter on images; those that a segmenter has learnt from, or whose lesion it has seen
    there, are left out and counted.

    Args:
        masks: "kmeans", or the directory of a segmenter.
        pairs: the images.

    Raises:
        UserError: there is no such segmenter, it is not known what it has learnt from, or all of these.
    """
    if masks == "kmeans":
        return judge(Preprocessor("lesion_only", "kmeans"), pairs, np.arange(len(pairs.names))), 0
    finder = Preprocessor("lesion_only", "segmenter", open_segmenter(masks))
    seen = _seen(Path(masks))
    known = {group for group, digest in zip(pairs.groups.tolist(), pairs.digests(), strict=True) if digest in seen}
    new = np.flatnonzero([group not in known for group in pairs.groups.tolist()])
    if not len(new):
        raise UserError(
            f"{masks} has learnt from all {len(pairs.names):,} images: its metrics.json has held-out figures"
        )
    return judge(finder, part_of(pairs, new), np.arange(len(new))), len(pairs.names) - len(new)


def _seen(run_dir: Path) -> set[str]:
    """The digests of the images that a segmenter was trained and chosen on."""
    path = run_dir / IMAGES if (run_dir / IMAGES).is_file() else run_dir.parent / IMAGES
    if not path.is_file():
        raise UserError(f"{path} is missing, so it is not known which images the segmenter has learnt from; restore it")
    with path.open(encoding="utf-8", newline="") as file:
        return {row["pixels"] for row in csv.DictReader(file) if row["split"] in ("train", "validation")}


def _deciding(config: SegmentConfig) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name not in ("run_dir", "data_dir")}


def _refuse_another(run_dir: Path, config: SegmentConfig) -> None:
    if not (run_dir / CONFIG).is_file():
        return
    before, now = read_record(run_dir / CONFIG, dict[str, Any], remedy=OTHERWISE), _deciding(config)
    if different := [
        f"{name}: {before.get(name)!r} there, {now[name]!r} now" for name in now if before.get(name) != now[name]
    ]:
        raise UserError(
            f"{run_dir} holds a segmenter with another config ({'; '.join(different)}); use another --run_dir"
        )


def _write_images(run_dir: Path, pairs: Pairs) -> None:
    split_of = {int(i): split for split in SPLITS for i in pairs.splits[split]}
    rows = [
        (name, split_of[i], pairs.groups[i], digest)
        for i, (name, digest) in enumerate(zip(pairs.names, pairs.digests(), strict=True))
    ]
    reasons = [(item.source_path, f"left out: {item.reason}", "", "") for item in pairs.quarantined]
    write_rows(run_dir / IMAGES, ["image", "split", "lesion", "pixels"], [*rows, *reasons])


def _train(config: SegmentConfig, pairs: Pairs, run_dir: Path, identity: str) -> Any:
    """The variables with the best Jaccard on validation."""
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
    with Checkpoints(directory, identity, best_by=BEST_BY) as checkpoints, ExitStack() as stack:
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
        return placement.gathered(checkpoints.restore_variables(checkpoints.best_step, shapes))


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
