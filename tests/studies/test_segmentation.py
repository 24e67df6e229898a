"""A segmenter end to end on few drawn lesions: it learns, goes on to the same bits, and says what it cannot do."""

import csv
import dataclasses
import json
import shutil
import signal

import jax
import numpy as np
import pytest
from PIL import Image

from mole_jax.classifier.segmenter import open_segmenter
from mole_jax.data.pairs import load_pairs, part_of, split_groups
from mole_jax.errors import UserError
from mole_jax.models import unet
from mole_jax.studies.segmentation import judge_on, read_pairs, train_segmenter
from mole_jax.training.epoch_metrics import Losses
from mole_jax.training.loop import Interrupted
from mole_jax.training.segmentation_config import SegmentConfig
from tests.commands import command

ROWS, COLUMNS = np.mgrid[:224, :224]


@pytest.fixture(scope="module", autouse=True)
def small():
    """A network of two levels, so that tests take seconds."""
    patch = pytest.MonkeyPatch()
    patch.setattr(unet, "WIDTHS", (4, 8))
    yield
    patch.undo()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """20 noisy dark discs with their masks, one without, and one twice."""
    base = tmp_path_factory.mktemp("pairs")
    for name in ("images", "masks"):
        (base / name).mkdir()
    for i in range(21):
        random = np.random.default_rng(max(i, 1))  # the first two are one image
        row, column, radius = *random.integers(70, 150, 2).tolist(), int(random.integers(30, 60))
        disc = (ROWS - row) ** 2 + (COLUMNS - column) ** 2 <= radius**2
        pixels = np.where(disc[..., None], 70, 190) + random.integers(-30, 30, (224, 224, 3))
        Image.fromarray(pixels.astype(np.uint8)).save(base / "images" / f"{i}.png")
        if i < 20:
            Image.fromarray(disc).save(base / "masks" / f"{i}_segmentation.png")
    return base


@pytest.fixture(scope="module")
def config(folders):
    return SegmentConfig(
        images=str(folders / "images"),
        masks=str(folders / "masks"),
        side=32,
        epochs=12,
        batch_size=4,
        learning_rate=1e-2,
        augment="dihedral rotate=30",
    )


@pytest.fixture(scope="module")
def trained(config, tmp_path_factory):
    said = []
    run_dir = tmp_path_factory.mktemp("runs") / "unet"
    outcome = train_segmenter(dataclasses.replace(config, run_dir=str(run_dir)), on_ready=said.append)
    return outcome, said


def test_it_finds_what_it_has_learnt_to_find(trained, folders):
    outcome, said = trained
    assert outcome.figures["test"]["jaccard"]["value"] > 0.8
    assert outcome.figures["test_kmeans"]["jaccard"]["value"] > 0.9, "two colours"
    assert "(14 train, 2 validation, 4 test), 1 left out" in said[0]
    metrics = json.loads((outcome.run_dir / "metrics.json").read_text())
    assert metrics["test"]["images"] == 4
    opened = open_segmenter(outcome.run_dir)
    jax.tree.map(np.testing.assert_array_equal, opened.variables, jax.device_get(outcome.segmenter.variables))
    assert opened.about == outcome.segmenter.about


def test_what_became_of_each_image_is_written(trained):
    with (trained[0].run_dir / "images.csv").open() as file:
        rows = {row["image"]: row for row in csv.DictReader(file)}
    assert len(rows) == 21
    assert rows["20.png"]["split"] == "left out: no mask among --masks"
    assert rows["0.png"]["lesion"] == rows["1.png"]["lesion"], "one image is in one split"
    assert rows["0.png"]["split"] == rows["1.png"]["split"]
    assert [row["split"] for row in rows.values()].count("test") == 4


def test_it_goes_on_to_the_same_bits(config, tmp_path, monkeypatch):
    config = dataclasses.replace(config, epochs=2)
    whole = train_segmenter(dataclasses.replace(config, run_dir=str(tmp_path / "whole")))
    losses = Losses.add

    def add(self, step, loss):
        losses(self, step, loss)
        if step == 2:  # within an epoch
            signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(Losses, "add", add)
    with pytest.raises(Interrupted, match="saved at step 2 of 8"):
        train_segmenter(dataclasses.replace(config, run_dir=str(tmp_path / "parts")))
    monkeypatch.setattr(Losses, "add", losses)
    parts = train_segmenter(dataclasses.replace(config, run_dir=str(tmp_path / "parts")))
    jax.tree.map(np.testing.assert_array_equal, whole.segmenter.variables, parts.segmenter.variables)
    assert whole.figures == parts.figures
    lines = [(tmp_path / name / "metrics.jsonl").read_text() for name in ("whole", "parts")]
    assert lines[0] == lines[1]


def test_a_directory_of_another_segmenter_is_refused(trained, config):
    there = dataclasses.replace(config, run_dir=str(trained[0].run_dir), side=48)
    with pytest.raises(UserError, match=r"holds a segmenter with another config \(side: 32 there, 48 now\)"):
        train_segmenter(there)


def test_other_images_under_the_same_names_are_noticed(trained, config, tmp_path):
    outcome, _ = trained
    there = tmp_path / "unet"
    there.mkdir()
    shutil.copy(outcome.run_dir / "config.json", there)
    shutil.copy(outcome.run_dir / "SHA256SUMS", there)
    stored = json.loads((there / "config.json").read_text())
    (there / "config.json").write_text(json.dumps({**stored, "pairs": "0" * 64}))
    with pytest.raises(UserError, match=r"the images, masks or splits have changed since the segmenter in .* began"):
        train_segmenter(dataclasses.replace(config, run_dir=str(there)))
    assert json.loads((there / "config.json").read_text())["pairs"] == "0" * 64, "nothing was touched"


def test_it_is_judged_on_images_that_it_does_not_know(trained, config, folders, tmp_path):
    pairs = read_pairs(config)
    figures, left_out = judge_on(str(trained[0].run_dir), pairs)
    assert left_out == 16
    assert figures["jaccard"]["value"] == pytest.approx(trained[0].figures["test"]["jaccard"]["value"])
    known = part_of(pairs, pairs.splits["train"])
    with pytest.raises(UserError, match=r"has learnt from all 14 images: its metrics.json has held-out figures"):
        judge_on(str(trained[0].run_dir), known)
    assert judge_on("kmeans", pairs)[1] == 0


def test_groups_stay_together_whatever_the_order():
    names = [f"{i:03d}" for i in range(100)]
    groups = np.arange(100) // 3
    splits = split_groups(names, groups, seed=0)
    of_group = {}
    for split, places in splits.items():
        for i in places:
            assert of_group.setdefault(groups[i], split) == split
    assert sum(map(len, splits.values())) == 100
    assert abs(len(splits["test"]) - 20) <= 3
    turned = split_groups(names[::-1], groups[::-1], seed=0)
    assert {names[::-1][i] for i in turned["test"]} == {names[i] for i in splits["test"]}
    assert not np.array_equal(split_groups(names, groups, seed=1)["test"], splits["test"])


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "give --images=DIR and --masks=DIR, or --dataset=NAME of a dataset prepared with --masks"),
        ({"images": "a"}, "give --images=DIR and --masks=DIR"),
        ({"images": "a", "masks": "b", "dataset": "c"}, "give --images=DIR and --masks=DIR, or --dataset=NAME"),
        ({"dataset": "c", "side": 100}, "side=100: the network halves it 4 times; give a multiple of 16"),
        ({"dataset": "c", "augment": "mixup=.2"}, r"augment='mixup=.2': mixup, cutmix and size are for classifiers"),
        ({"dataset": "c", "epochs": 0}, "epochs=0 is too small; the smallest is 1"),
    ],
)
def test_mistakes_are_named(values, message, monkeypatch):
    monkeypatch.setattr(unet, "WIDTHS", (1, 1, 1, 1, 1))
    with pytest.raises(UserError, match=message):
        SegmentConfig(**values)


def test_a_dataset_needs_masks(data_dir):
    with pytest.raises(UserError, match="the dataset 'synthetic' has no lesion masks: prepare it with --masks=DIR"):
        read_pairs(SegmentConfig(dataset="synthetic", data_dir=str(data_dir)))


def test_folders_must_have_images_with_masks(folders, tmp_path):
    with pytest.raises(UserError, match=r"images '.*none' is missing; give --images=DIR"):
        load_pairs(tmp_path / "none", folders / "masks", seed=0)
    few = tmp_path / "few"
    few.mkdir()
    for i in range(3):
        Image.fromarray(np.zeros((224, 224), np.uint8)).save(few / f"{i}.png")
    with pytest.raises(
        UserError, match=r"0 of 21 images in .* such as '10.png': no mask among --masks; at least 10 are"
    ):
        load_pairs(folders / "images", few, seed=0)


def test_a_missing_segmenter_is_named(config):
    with pytest.raises(UserError, match="there is no segmenter in 'runs/none': give kmeans, given, or the directory"):
        judge_on("runs/none", read_pairs(config))


def test_the_command_judges(folders):
    ran = command("segment", f"--images={folders / 'images'}", f"--masks={folders / 'masks'}", "--judge=kmeans")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "kmeans: Jaccard 1.000, Dice 1.000" in ran.stdout
    ran = command("segment", "--judge=kmeans")
    assert ran.returncode == 2
    assert ran.stderr.startswith("error: give --images=DIR and --masks=DIR, or --dataset=NAME")
