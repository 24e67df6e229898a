"""Runs on preprocessed images: they score photographs as they scored their own, to the last bit, or say why not."""

import dataclasses
import hashlib
import json
import logging
import re
import shutil
from pathlib import Path

import jax
import numpy as np
import pytest
from PIL import Image

from mole_jax.classifier.preprocess import Preprocessor, load_preprocessor
from mole_jax.classifier.segmenter import open_segmenter, save_segmenter
from mole_jax.classifier.storage import open_run
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset, open_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.models import unet
from mole_jax.runs.identity import refuse_another_run
from mole_jax.studies.experiment import identity_of, run_experiment
from mole_jax.studies.external import score
from mole_jax.studies.predict import as_ensemble
from mole_jax.studies.preview import preview
from mole_jax.training import preprocessed as module
from mole_jax.training.loop import train
from mole_jax.training.preprocessed import as_seen

SMALL = RunConfig(model="logistic", epochs=1, batch_size=10, learning_rate=1e-3, dataset="own", normalize="dataset")
ROWS, COLUMNS = np.mgrid[:224, :224]


def write(folder, drawn, numbers, *, masks):
    """The drawn lesions, each on skin of its own, as files in class folders; where asked for with a disc as mask."""
    for i in numbers:
        image = drawn[i % len(drawn)].copy()
        image[:8, :8] = i  # no two are the same
        path = folder / "images" / ("melanoma", "benign")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        if masks:
            disc = (30 + i) ** 2 >= (ROWS - 112) ** 2 + (COLUMNS - 100) ** 2
            (folder / "masks").mkdir(exist_ok=True)
            Image.fromarray(disc).save(folder / "masks" / f"{i}_segmentation.png")
    return folder


@pytest.fixture(scope="module")
def masked(drawn, tmp_path_factory):
    """`own` and `later` have masks, `plain` has none."""
    base = tmp_path_factory.mktemp("preprocessed")
    for name, numbers, masks, protocol in (
        ("own", range(24), True, "grouped"),
        ("later", range(100, 108), True, "external"),
        ("plain", range(200, 208), False, "external"),
    ):
        folder = write(base / name, drawn, numbers, masks=masks)
        prepare(
            name,
            folder / "images",
            data_dir=base / "data",
            workers=1,
            protocol=protocol,
            masks=folder / "masks" if masks else None,
            group_by_looks="off",
        )
    return base / "data"


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory):
    """The directory of a segmenter with random weights."""
    variables = unet.model().init(jax.random.key(3), input_shape=(1, 32, 32, 3))
    folder = tmp_path_factory.mktemp("unet")
    save_segmenter(variables, folder, side=32, trained_on="nothing")
    return folder


@pytest.fixture(scope="module")
def runs(masked, segmenter, tmp_path_factory):
    """Finished runs by the masks that they take."""
    folder = tmp_path_factory.mktemp("runs")
    for name, how, masks in (
        ("kmeans", "kmeans_blur", "kmeans"),
        ("segmenter", "border_only", str(segmenter)),
    ):
        config = dataclasses.replace(SMALL, preprocess=how, masks=masks, data_dir=str(masked))
        run_experiment(dataclasses.replace(config, run_dir=str(folder / name)), report=False)
    return folder


def images_of(dataset, split="test"):
    return np.stack([dataset.splits[split][i]["image"] for i in range(len(dataset.splits[split]))])


@pytest.mark.parametrize("name", ["kmeans", "segmenter"])
def test_a_copied_run_scores_photographs_as_it_scored_its_own(runs, masked, name, tmp_path):
    shutil.copytree(runs / name / "classifier", tmp_path / "copy" / "classifier")
    classifier = open_run(tmp_path / "copy")
    images = images_of(load_dataset(masked, "own"))
    scored = read_predictions(runs / name / "predictions" / "test.csv").logit
    np.testing.assert_array_equal(classifier.logits(images).astype(np.float64), scored)
    for i, image in enumerate(images[::-1]):
        assert classifier.logits(image[None])[0] == scored[::-1][i]
    plain = dataclasses.replace(classifier, preprocessor=None)
    assert (plain.logits(images).astype(np.float64) != scored).any(), "or nothing was changed"


def test_a_run_on_given_masks_says_that_photographs_have_none(runs, drawn):
    given = Preprocessor("lesion_crop", "given")
    classifier = dataclasses.replace(open_run(runs / "kmeans"), preprocessor=given)
    with pytest.raises(UserError, match="trained with masks=given, and photographs have no masks beside them"):
        classifier.logits(np.stack(drawn[:2]))
    with pytest.raises(UserError, match=r"kmeans was trained with masks=given, .* evaluate it on a dataset"):
        as_ensemble([classifier], [runs / "kmeans"])


def test_it_is_judged_on_a_dataset_with_masks_and_on_no_other(runs, masked):
    given = dataclasses.replace(open_run(runs / "kmeans"), preprocessor=Preprocessor("lesion_crop", "given"))
    assert len(score(given, open_dataset(masked, "later"), ["test"])["test"]) == 8
    with pytest.raises(UserError, match="the dataset 'plain' has no lesion masks: prepare it with --masks=DIR"):
        score(given, open_dataset(masked, "plain"), ["test"])


def test_another_dataset_is_scored_as_its_photographs_are(runs, masked):
    classifier, dataset = open_run(runs / "segmenter"), open_dataset(masked, "later")
    np.testing.assert_array_equal(
        score(classifier, dataset, ["test"])["test"], classifier.logits(images_of(dataset, "test"))
    )


def test_given_masks_are_those_of_each_image(masked):
    dataset = load_dataset(masked, "own")
    seen = as_seen(dataset, Preprocessor("lesion_masked_out", "given"))
    for split, source in dataset.splits.items():
        for i in range(len(source)):
            record = source[i]
            expected = np.where(record["mask"][..., None], 0, record["image"])
            np.testing.assert_array_equal(seen.splits[split][i]["image"], expected)
            assert seen.splits[split][i]["label"] == record["label"]


def test_a_masks_own_image_is_seen_whatever_the_pixels_share(masked, tmp_path, drawn):
    """Two images of equal pixels with different masks are two rows of the store."""
    folder = write(tmp_path / "twins", drawn, range(12), masks=True)
    shutil.copyfile(folder / "images" / "benign" / "1.png", folder / "images" / "benign" / "3.png")
    summary = prepare(
        "twins",
        folder / "images",
        data_dir=tmp_path / "data",
        workers=1,
        masks=folder / "masks",
        group_by_looks="off",
    )
    assert summary.facts.images == 12
    dataset = load_dataset(tmp_path / "data", "twins")
    seen = as_seen(dataset, Preprocessor("lesion_only", "given"))
    shown = {
        row.image_id: seen.splits[split][i]["image"] for split in seen.splits for i, row in enumerate(seen.rows[split])
    }
    assert (shown["1"] != shown["3"]).any()


def test_the_facts_are_of_what_is_seen(masked):
    dataset = load_dataset(masked, "own")
    seen = as_seen(dataset, Preprocessor("lesion_only", "given"))
    np.testing.assert_allclose(seen.facts.channel_mean, images_of(seen, "train").mean(axis=(0, 1, 2)) / 255, rtol=1e-6)
    assert seen.facts.channel_mean != dataset.facts.channel_mean
    assert seen.facts.fingerprint != dataset.facts.fingerprint
    digests = [hashlib.sha256(image.tobytes()).digest() for image in images_of(seen)]
    assert seen.pixel_digests("test") == digests, "so that stored features are of these images"
    assert as_seen(dataset, None) is dataset


def test_images_are_preprocessed_once_and_again_where_damaged(masked, tmp_path, monkeypatch, caplog):
    shutil.copytree(masked / "own", tmp_path / "data" / "own")
    dataset = load_dataset(tmp_path / "data", "own")
    preprocessor, count = Preprocessor("background_blur", "kmeans"), []
    monkeypatch.setattr(module, "BLOCK", 10)
    call = Preprocessor.__call__
    monkeypatch.setattr(
        Preprocessor, "__call__", lambda self, images, masks=None: count.append(1) or call(self, images, masks)
    )
    first = images_of(as_seen(dataset, preprocessor))
    assert len(count) == 24
    as_seen(dataset, preprocessor)
    assert len(count) == 24
    (damaged,) = (tmp_path / "data" / "_preprocessed").glob("*/images/000001/rows.npy")
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 1
    damaged.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(images_of(as_seen(dataset, preprocessor)), first)
    assert len(count) == 34
    assert re.search(r"images/000001/rows.npy has changed since .*; its images are computed again", caplog.text)


def test_images_without_a_lesion_are_told(tmp_path, drawn, caplog):
    folder = write(tmp_path / "flat", drawn, range(12), masks=False)
    for number in (0, 1, 5):
        path = folder / "images" / ("melanoma", "benign")[number % 2] / f"{number}.png"
        Image.fromarray(np.full((224, 224, 3), 100 + number, np.uint8)).save(path)
    prepare("flat", folder / "images", data_dir=tmp_path / "data", workers=1, group_by_looks="off")
    dataset, told = load_dataset(tmp_path / "data", "flat"), []
    for _ in range(2):  # also when they are read from the store
        as_seen(dataset, Preprocessor("lesion_only", "kmeans"), tell=told.append)
        line = "no lesion was found in 3 of 12 images, which are shown to the network as they are"
        assert told[-1] == line


def test_photographs_without_a_lesion_are_told(runs, caplog):
    flat = np.full((2, 224, 224, 3), 90, np.uint8)
    with caplog.at_level(logging.WARNING):
        classifier = open_run(runs / "kmeans")
        np.testing.assert_array_equal(classifier.seen(flat), flat)
    assert "no lesion was found in 2 of 2 images" in caplog.text


def test_a_run_goes_on_to_the_same_bits(masked, tmp_path):
    seen = as_seen(load_dataset(masked, "own"), Preprocessor("lesion_only", "given"))
    trained = {}
    for name, epochs in (("whole", (2,)), ("parts", (1, 2))):
        for count in epochs:
            trained[name] = train(dataclasses.replace(SMALL, epochs=count), seen, tmp_path / name)
    for split, logits in trained["whole"].logits.items():
        np.testing.assert_array_equal(logits, trained["parts"].logits[split])


def test_another_segmenter_in_its_place_is_noticed(runs, masked):
    run_dir = runs / "segmenter"
    config = RunConfig.from_dict(json.loads((run_dir / "config.json").read_text()))
    dataset, preprocessor = load_dataset(masked, "own"), load_preprocessor(config)
    refuse_another_run(run_dir, identity_of(config, dataset, None, preprocessor))
    about = dataclasses.replace(preprocessor.segmenter.about, sha256="0" * 64)
    other = dataclasses.replace(preprocessor, segmenter=dataclasses.replace(preprocessor.segmenter, about=about))
    now = identity_of(config, dataset, None, other)
    with pytest.raises(UserError, match=r"the segmenter '.*' has changed since the run in .* began \(sha256"):
        refuse_another_run(run_dir, now)
    assert now.digest() != identity_of(config, dataset, None, preprocessor).digest()


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        ("runs/none", "there is no segmenter in 'runs/none': give kmeans, given, or the directory of a finished"),
        ("given", "the dataset 'synthetic' has no lesion masks: prepare it with --masks=DIR"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(dataset, tmp_path, masks, message):
    config = dataclasses.replace(SMALL, preprocess="lesion_only", masks=masks, dataset="synthetic")
    config = dataclasses.replace(config, data_dir=str(dataset.directory.parents[1]), run_dir=str(tmp_path / "run"))
    with pytest.raises(UserError, match=re.escape(message)):
        run_experiment(config, report=False)
    assert not (tmp_path / "run").exists()


def test_a_damaged_segmenter_is_named(segmenter, tmp_path):
    folder = Path(shutil.copytree(segmenter, tmp_path / "unet")) / "segmenter"
    content = bytearray((folder / "weights.safetensors").read_bytes())
    content[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(content)
    with pytest.raises(UserError, match=r"weights.safetensors has changed since it was written .* train it again"):
        open_segmenter(tmp_path / "unet")


def test_a_classifiers_damaged_segmenter_is_named(runs, tmp_path):
    shutil.copytree(runs / "segmenter" / "classifier", tmp_path / "classifier")
    about = json.loads((tmp_path / "classifier" / "classifier.json").read_text())
    assert about["format"] == 3, "so that no older version scores images as they are"
    assert json.loads((runs / "kmeans" / "classifier" / "classifier.json").read_text())["format"] == 3
    (tmp_path / "classifier" / "segmenter.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match=r"segmenter.safetensors has changed since it was written"):
        open_run(tmp_path)


def test_the_sheet_shows_what_is_seen(masked, tmp_path):
    config = dataclasses.replace(SMALL, preprocess="border_only", masks="given", data_dir=str(masked))
    preview(config, tmp_path / "sheet.png")
    assert not np.asarray(Image.open(tmp_path / "sheet.png"))[100:120, 90:110].any(), "the box is black"


def test_the_preprocessor_is_the_pure_function_with_its_masks(drawn):
    preprocessor = load_preprocessor(dataclasses.replace(SMALL, preprocess="lesion_only"))
    shown, found = preprocessor(np.stack(drawn[:3]))
    assert found.all()
    for image, each in zip(drawn, shown, strict=False):
        np.testing.assert_array_equal(each, np.where(preprocessor.find(image[None])[0][..., None], image, 0))
    assert load_preprocessor(SMALL) is None
