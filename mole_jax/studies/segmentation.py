"""A segmenter from images and masks: trained on whole lesions, judged on others, stored for `--masks`."""

import csv
import dataclasses
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from jaxtyping import Int
from tqdm import tqdm

from mole_jax.classifier.preprocess import Preprocessor, lesion_finder
from mole_jax.classifier.segmenter import Segmenter, save_segmenter
from mole_jax.data.dataset import load_dataset
from mole_jax.data.pairs import Pairs, load_pairs, pairs_of, part_of
from mole_jax.data.records import SPLITS
from mole_jax.errors import UserError
from mole_jax.evaluation.masks import MaskFigures, agreement, mask_figures
from mole_jax.files.changes import remove_file
from mole_jax.files.csv_table import write_rows
from mole_jax.files.reading import read_record
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import write_json
from mole_jax.runs.directory import CONFIG, LOG, METRICS, STEPS, hold
from mole_jax.training.segmentation_config import SegmentConfig
from mole_jax.training.segmentation_loop import train_unet

SEGMENTATION: Final = "segmentation"  # the kind of its directory
IMAGES: Final = "images.csv"  # which image is in which split
FILES: Final = (CONFIG, STEPS, LOG, IMAGES, METRICS)
OTHERWISE: Final = "give another --run_dir"


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
        _refuse_another(run_dir, config.deciding)  # before the images are read, which may take minutes
        pairs = read_pairs(config)
        deciding = {**config.deciding, "pairs": pairs.fingerprint()}
        _refuse_another(run_dir, deciding)
        counts = ", ".join(f"{len(pairs.splits[split]):,} {split}" for split in SPLITS)
        on_ready(f"{pairs.source} ({counts}), {len(pairs.quarantined):,} left out\nrun directory {run_dir}")
        claim(run_dir, SEGMENTATION, FILES, alone=True, otherwise=OTHERWISE)
        remove_file(run_dir / METRICS)
        write_json(run_dir / CONFIG, {**config.to_dict(), **deciding})
        _write_images(run_dir, pairs)
        identity = hashlib.sha256(json.dumps([config.deciding, deciding["pairs"]]).encode()).hexdigest()
        variables = train_unet(config, pairs, run_dir, identity)
        segmenter = save_segmenter(variables, run_dir, side=config.side, trained_on=pairs.source)
        by_network = Preprocessor("lesion_only", "segmenter", segmenter)
        figures = {split: judge(by_network, pairs, pairs.splits[split]) for split in ("validation", "test")}
        figures["test_kmeans"] = judge(lesion_finder("kmeans"), pairs, pairs.splits["test"])
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
    finder = lesion_finder(masks)
    if masks == "kmeans":
        return judge(finder, pairs, np.arange(len(pairs.names))), 0
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


def _refuse_another(run_dir: Path, deciding: dict[str, Any]) -> None:
    if not (run_dir / CONFIG).is_file():
        return
    before = read_record(run_dir / CONFIG, dict[str, Any], remedy=OTHERWISE)
    there = {name: before.get(name, value) for name, value in deciding.items()}
    if there.get("pairs") != deciding.get("pairs"):
        raise UserError(f"the images, masks or splits have changed since the segmenter in {run_dir} began; {OTHERWISE}")
    if different := [
        f"{name}: {there[name]!r} there, {value!r} now" for name, value in deciding.items() if there[name] != value
    ]:
        raise UserError(f"{run_dir} holds a segmenter with another config ({'; '.join(different)}); {OTHERWISE}")


def _write_images(run_dir: Path, pairs: Pairs) -> None:
    split_of = {int(i): split for split in SPLITS for i in pairs.splits[split]}
    rows = [
        (name, split_of[i], pairs.groups[i], digest)
        for i, (name, digest) in enumerate(zip(pairs.names, pairs.digests(), strict=True))
    ]
    reasons = [(item.source_path, f"left out: {item.reason}", "", "") for item in pairs.quarantined]
    write_rows(run_dir / IMAGES, ["image", "split", "lesion", "pixels"], [*rows, *reasons])
