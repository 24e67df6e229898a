"""Where the lesion is: trains a small U-Net on images with masks, for --preprocess and --masks of any run.

    python -m experiments.segment --images=DIR --masks=DIR --run_dir=runs/segmenter
    python -m experiments.segment --dataset=NAME                          a dataset that was prepared with --masks
    python -m experiments.segment --judge=kmeans --images=DIR --masks=DIR    how well k-means finds these masks
    python -m experiments.run --preprocess=lesion_only --masks=runs/segmenter --dataset=ham10000

Seven in ten lesions train it, one in ten chooses the epoch, two in ten are held out, and the figures are theirs. Where
folders are given, images of one lesion are told by their looks. The same command again goes on where it stopped. Exit
status 75: stopped by SIGTERM or Ctrl-C with everything saved, run it again.
"""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags

from experiments import cli
from experiments.training import trained_or_status
from mole_jax import xla
from mole_jax.errors import UserError

if TYPE_CHECKING:
    from mole_jax.evaluation.masks import MaskFigures
    from mole_jax.evaluation.statistics.intervals import Estimate

IMAGES = flags.DEFINE_string("images", "", "the folder of the images")
MASKS = flags.DEFINE_string(
    "masks", "", "the folder of their masks, called as they are, with or without _segmentation or _mask"
)
DATASET = flags.DEFINE_string("dataset", "", "a prepared dataset with masks, in place of folders")
DATA_DIR = flags.DEFINE_string("data_dir", "data", "where prepared datasets lie")
RUN_DIR = flags.DEFINE_string("run_dir", "", "where it writes; default: runs/segmenter-<hash of these flags>")
SIDE = flags.DEFINE_integer("side", 96, "of the images as the network sees them, in pixels; a multiple of 16")
EPOCHS = flags.DEFINE_integer("epochs", 25, "passes over the training images")
BATCH_SIZE = flags.DEFINE_integer("batch_size", 16, "images a training step")
LEARNING_RATE = flags.DEFINE_float("learning_rate", 2e-3, "of Adam; it falls to 0 as a cosine")
AUGMENT = flags.DEFINE_string(
    "augment",
    "dihedral rotate=180 shift=.1 zoom=.2 color=.2 hue=.02",
    "random changes to training images, and to their masks as far as they move pixels; as of experiments.run",
)
SEED = flags.DEFINE_integer("seed", 0, "of splits, weights, order and changes")
JUDGE = flags.DEFINE_string(
    "judge",
    None,
    "trains nothing: how well kmeans, or the segmenter in a directory, finds the masks of the images; those that the "
    "segmenter has learnt from are left out",
)


def command() -> int:
    """Trains and judges, or judges alone."""
    xla.configure()
    from mole_jax.studies.segmentation import judge_on, read_pairs, train_segmenter
    from mole_jax.training.segmentation_config import SegmentConfig

    names = [field.name for field in dataclasses.fields(SegmentConfig)]
    given = {name: flags.FLAGS[name].value for name in names}
    for name in ("images", "masks", "data_dir", "run_dir"):
        given[name] = str(Path(given[name]).expanduser()) if given[name] else ""
    config = SegmentConfig(**given)
    if JUDGE.value is not None:
        if not JUDGE.value:
            raise UserError("--judge= is empty; give --judge=kmeans or the directory of a segmenter")
        masks = "kmeans" if JUDGE.value == "kmeans" else str(Path(JUDGE.value).expanduser())
        pairs = read_pairs(config)
        figures, left_out = judge_on(masks, pairs)
        known = f", {left_out:,} that it knows left out" if left_out else ""
        print(f"{pairs.source}{known}\n{line(masks, figures)}")
        return 0
    outcome = trained_or_status(lambda: train_segmenter(config, on_ready=lambda text: print(text, flush=True)))
    if isinstance(outcome, int):
        return outcome
    for what, figures in outcome.figures.items():
        print(line(what.replace("_", ", "), figures))
    print(
        f"results in {outcome.run_dir}: metrics.json, images.csv, segmenter/, checkpoints/\n"
        f"use it: python -m experiments.run --preprocess=lesion_only --masks={outcome.run_dir} --dataset=NAME"
    )
    return 0


def line(what: str, figures: "MaskFigures") -> str:
    """One line for people: Jaccard, Dice and the challenge's score with their intervals."""
    empty = f"; {figures['empty']:,} masks are empty" if figures["empty"] else ""
    return (
        f"{what}: Jaccard {_shown(figures['jaccard'])}, Dice {_shown(figures['dice'])}, "
        f"ISIC 2018's score {_shown(figures['challenge'])}; {figures['images']:,} images of {figures['groups']:,} "
        f"lesions{empty}"
    )


def _shown(of: "Estimate") -> str:
    low, high = of["low"], of["high"]
    interval = f" ({low:.3f}-{high:.3f})" if low is not None and high is not None else ""
    return f"{of['value']:.3f}{interval}"


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "", goes_on=True)
