"""A classifier comes back whole from a copy of its run, without dataset or network; damage is named."""

import dataclasses
import json
import os
import shutil
import socket

import jax
import numpy as np
import pytest

from mole_jax.backbones import BACKBONES, family_of
from mole_jax.backbones.weights import Provenance
from mole_jax.classifier.storage import VARIABLES, StoredBackbone, architecture_of, open_run
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.files.changes import SUMS
from mole_jax.files.reading import read_record
from mole_jax.files.sums import seal_all
from mole_jax.files.writing import write_json
from mole_jax.studies import experiment
from mole_jax.studies.experiment import run_experiment

LOGISTIC = RunConfig(model="logistic", epochs=1, batch_size=10, learning_rate=1e-4, normalize="dataset")
TRANSFER = RunConfig(model="transfer", head="linear", normalize="weights", batch_size=10, epochs=1, bn_momentum=0.9)


@pytest.fixture(scope="module")
def runs(data_dir, tiny, tmp_path_factory):
    """Finished runs side by side, by name."""
    folder = tmp_path_factory.mktemp("runs")
    configs = {
        "logistic": LOGISTIC,
        "head": TRANSFER,
        "other_head": dataclasses.replace(TRANSFER, head="pooled"),
        "images": dataclasses.replace(TRANSFER, feature_cache="off"),
    }
    load = experiment.load_backbone
    experiment.load_backbone = lambda config: tiny if config.model == "transfer" else None
    try:
        for name, config in configs.items():
            here = dataclasses.replace(config, data_dir=str(data_dir), run_dir=str(folder / name))
            run_experiment(here, report=False)
    finally:
        experiment.load_backbone = load
    return folder


@pytest.fixture
def copied(runs, tmp_path):
    shutil.copytree(runs, tmp_path / "copies")
    return tmp_path / "copies"


@pytest.mark.parametrize("name", ["logistic", "head", "images"])
def test_a_copied_run_scores_its_test_images_as_before_without_data_or_network(
    copied, dataset, name, tmp_path, monkeypatch
):
    def no_network(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    alone = tmp_path / "alone"
    (alone / name).mkdir(parents=True)
    shutil.move(copied / name / "classifier", alone / name / "classifier")  # that folder is enough
    classifier = open_run(alone / name)
    images = np.stack([dataset.splits["test"][i]["image"] for i in range(len(dataset.splits["test"]))])
    scored = read_predictions(copied / name / "predictions" / "test.csv")
    np.testing.assert_array_equal(classifier.logits(images).astype(np.float64), scored.logit)
    assert classifier.origin.dataset == "synthetic"
    assert classifier.origin.dataset_fingerprint == dataset.facts.fingerprint
    assert classifier.class_names == ("not melanoma", "melanoma")
    assert classifier.decision.prevalence == dataset.labels["train"].mean()


def test_the_stored_thresholds_are_those_of_the_runs_metrics(copied):
    points = json.loads((copied / "head" / "metrics.json").read_text())["operating_points"]
    decision = open_run(copied / "head").decision
    assert {point.name: point.threshold for point in decision.operating_points} == {
        name: point["threshold"] for name, point in points.items()
    }


def test_runs_side_by_side_share_one_copy_of_a_backbone(runs, tiny):
    (first,) = (runs / "head" / "classifier").glob("backbone-*.safetensors")
    (second,) = (runs / "other_head" / "classifier").glob("backbone-*.safetensors")
    assert first.name == second.name
    assert first.stat().st_ino == second.stat().st_ino
    assert first.stat().st_nlink == 2
    assert not list((runs / "images" / "classifier").glob("backbone-*")), "its weights are among the variables"
    stored = open_run(runs / "head").backbone
    jax.tree.map(np.testing.assert_array_equal, stored.variables, tiny.variables)
    assert (stored.config, stored.preprocessing, stored.provenance) == (
        tiny.config,
        tiny.preprocessing,
        tiny.provenance,
    )


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_comes_back_as_it_was(name, tmp_path):
    network = BACKBONES[name]
    stored = StoredBackbone("", dataclasses.asdict(network), None, Provenance("", "", ""), family_of(network))
    write_json(tmp_path / "a.json", dataclasses.asdict(stored))
    again = read_record(tmp_path / "a.json", StoredBackbone, remedy="")
    assert architecture_of(again, tmp_path / "a.json", "") == network


def test_a_classifier_from_before_there_were_other_families_opens(copied, tiny):
    about = copied / "head" / "classifier" / "classifier.json"
    edit(about, lambda a: a["backbone"].pop("family"), seal=True)
    assert open_run(copied / "head").backbone.config == tiny.config


def test_files_can_be_read_by_whoever_may_read_the_run(runs):
    modes = {path.stat().st_mode & 0o777 for path in (runs / "logistic" / "classifier").iterdir()}
    mask = os.umask(0)
    os.umask(mask)
    assert modes == {0o666 & ~mask}


def flip(path):
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def edit(path, change, *, seal=False):
    about = json.loads(path.read_text())
    change(about)
    path.write_text(json.dumps(about))
    if seal:  # as somebody would who knows how
        seal_all(path.parent, "classifier")


def drop_line(path, name):
    path.write_text("".join(line for line in path.read_text().splitlines(True) if name not in line))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda f: flip(f / "variables.safetensors"), r"variables.safetensors has changed since it was written"),
        (lambda f: flip(next(f.glob("backbone-*"))), r"backbone-\w+.safetensors has changed since it was written"),
        (lambda f: (f / "variables.safetensors").unlink(), r"variables.safetensors is missing"),
        (lambda f: (f / "classifier.json").write_text("{"), r"classifier.json is damaged"),
        (lambda f: (f / "classifier.json").write_text("[]"), r"is damaged \(Expected `object`, got `array`\)"),
        (
            lambda f: edit(f / "classifier.json", lambda a: a.pop("inputs")),
            r"is damaged \(Object missing required field `inputs`\)",
        ),
        (
            lambda f: edit(f / "classifier.json", lambda a: a["decision"].update(prevalence="x")),
            r"is damaged \(Expected `float`, got `str` - at `\$.decision.prevalence`\)",
        ),
        (
            lambda f: edit(f / "classifier.json", lambda a: a["config"].update(epochs=0)),
            r"is damaged \(epochs=0 is too small; the smallest is 1 - at `\$.config`\)",
        ),
        (
            lambda f: edit(f / "classifier.json", lambda a: a.update(format=1)),
            r"has format 1 and this .* reads 2 and 3",
        ),
        (
            lambda f: edit(f / "classifier.json", lambda a: a["inputs"].update(normalize="batch")),
            r"classifier.json has changed since it was written \(its SHA-256 differs\)",
        ),
        (
            lambda f: edit(f / "classifier.json", lambda a: a["backbone"].update(family="vit"), seal=True),
            r"has a backbone of the family 'vit', and this version .* knows resnet, densenet, efficientnet_lite",
        ),
        (
            lambda f: edit(f / "classifier.json", lambda a: a["backbone"]["network"].update(width="x"), seal=True),
            r"classifier.json is damaged \(its backbone's network: Expected `int`, got `str` - at `\$.width`\)",
        ),
        (lambda f: drop_line(f / SUMS, VARIABLES), r"SHA256SUMS has no digest of variables.safetensors"),
        (lambda f: (f / SUMS).unlink(), r"SHA256SUMS is missing"),
        (lambda f: (f / SUMS).write_text("# mole_jax run\n"), r"SHA256SUMS has no line '# mole_jax classifier'"),
        (lambda f: (f / SUMS).write_text("# mole_jax classifier\nx\n"), r"SHA256SUMS is damaged \(the line 'x'\)"),
        (
            lambda f: edit(f / "classifier.json", lambda a: a["config"].update(head="pooled"), seal=True),
            r"variables.safetensors does not fit its own model \(.*only in the model",
        ),
    ],
)
def test_damage_is_named_with_the_way_out(copied, damage, message):
    damage(copied / "head" / "classifier")
    with pytest.raises(UserError, match=message) as error:
        open_run(copied / "head")
    assert "python -m experiments.run --config=" in str(error.value)


def test_what_is_no_finished_run_is_told_apart(copied, tmp_path):
    with pytest.raises(UserError, match=r"there is no run directory '.*nowhere'; give --run=runs/NAME"):
        open_run(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match=r"is no run directory: it has no config.json"):
        open_run(tmp_path / "empty")
    shutil.rmtree(copied / "head" / "classifier")
    again = r"python -m experiments.run --config=\S+config.json --run_dir=\S+head goes on from its checkpoint"
    with pytest.raises(UserError, match=rf"is from before classifiers were kept with their run; {again}"):
        open_run(copied / "head")
    (copied / "head" / "metrics.json").unlink()
    with pytest.raises(UserError, match=rf"the run in '.*head' is not finished; {again}"):
        open_run(copied / "head")


def test_a_run_trained_for_longer_replaces_its_classifier(copied, data_dir):
    before = open_run(copied / "logistic")
    longer = dataclasses.replace(LOGISTIC, epochs=2, data_dir=str(data_dir), run_dir=str(copied / "logistic"))
    run_experiment(longer, report=False)
    after = open_run(copied / "logistic")
    assert (before.config.epochs, after.config.epochs) == (1, 2)
    assert not list((copied / "logistic").glob(".classifier*"))
