"""Probes of runs whose scores are known to rest on one thing: what they find of it."""

import csv
import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.artefacts.constancy import grey_world, shades_of_grey
from mole_jax.classifier.segmenter import save_segmenter
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.models import unet
from mole_jax.report.page import write_report
from mole_jax.runs.probing import read_probes
from mole_jax.studies import probe
from mole_jax.studies.changes import CHANGES, FRAME, FRAME_ALONE, within_frame
from mole_jax.studies.experiment import run_experiment
from mole_jax.studies.probe import Request, probe_run
from mole_jax.studies.repeated import run_repeated


@pytest.fixture(scope="module")
def config(data_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "mine"
    common = {"epochs": 1, "batch_size": 10, "learning_rate": 1e-4, "track": "none"}
    return RunConfig(model="logistic", data_dir=str(data_dir), run_dir=str(run_dir), **common)


@pytest.fixture(scope="module")
def probed(config):
    outcome = run_experiment(config, report=False)
    folder, found = probe_run(Request(outcome.run_dir))
    return outcome, folder, found


def test_scores_are_the_runs_own_and_change_with_the_images(probed):
    outcome, folder, found = probed
    rows = list(csv.DictReader((folder / "scores.csv").read_text().splitlines()))
    test = outcome.predictions["test"]
    assert [row["image_id"] for row in rows] == test.image_id.tolist()
    np.testing.assert_allclose([float(row["logit"]) for row in rows], test.logit, rtol=1e-6)
    assert found.before.auroc["value"] == outcome.metrics["splits"]["test"]["auroc"]["value"]
    assert [each.name for each in found.changes] == list(CHANGES)
    for each in (*found.changes, *(of.drawn_in for of in found.artefacts)):
        assert each.typical > 0, each.name
        moved = np.array([float(row[f"logit, {each.name}"]) - float(row["logit"]) for row in rows])
        np.testing.assert_allclose(each.typical, np.median(np.abs(moved)), rtol=1e-6)
        np.testing.assert_allclose(each.melanomas, moved[test.label == 1].mean(), rtol=1e-5, atol=1e-7)


def test_it_is_read_back_and_shown(probed, tmp_path):
    outcome, _, found = probed
    assert read_probes(outcome.run_dir) == found
    page = write_report([outcome.run_dir], tmp_path / "page.html").read_text(encoding="utf-8")
    for text in ("What does it look at besides the lesion?", found.verdict, "ink drawn in", "colours by grey world"):
        assert text in page


def test_a_score_that_rests_on_the_lesion_alone_changes_with_it_alone(probed, monkeypatch, data_dir):
    """How dark the middle is, as a score."""
    outcome, _, _ = probed

    def middle(_, images):
        return -images[:, 96:128, 96:128].mean(axis=(1, 2, 3)).astype(np.float32) / 64

    monkeypatch.setattr(probe, "_logits", middle)
    monkeypatch.setattr(probe, "claim", lambda *_, **__: None)
    monkeypatch.setattr(probe, "seal", lambda *_, **__: None)
    monkeypatch.setattr(probe, "write_rows", lambda *_: None)
    monkeypatch.setattr(probe, "write_json", lambda *_: None)
    _, found = probe_run(Request(outcome.run_dir))
    by_name = {each.name: each for each in found.changes}
    assert by_name[f"outermost {FRAME} pixels hidden"].typical == 0
    assert by_name[f"outermost {FRAME} pixels hidden"].called_otherwise["value"] == 0
    assert by_name["lesion hidden"].typical > 0.3
    assert {of.name: of.drawn_in.typical for of in found.artefacts}["dark corners"] == pytest.approx(0, abs=0.01)


def test_what_is_seen_at_the_edge_is_also_told_of_lesions_that_end_before_it(probed, monkeypatch):
    masks = np.zeros((3, 224, 224), bool)
    masks[0, FRAME:-FRAME, FRAME:-FRAME] = masks[1, FRAME - 1 : 40, 50:60] = masks[2, 60, -FRAME] = True
    assert within_frame(masks).tolist() == [True, False, False]
    monkeypatch.setattr(probe, "FEWEST", 2)
    monkeypatch.setattr(probe, "within_frame", lambda masks: np.arange(len(masks)) < 4)
    _, found = probe_run(Request(probed[0].run_dir, images=6))
    edge = [each for each in found.changes if each.name.startswith(FRAME_ALONE)]
    assert [(each.name, each.images) for each in edge] == [
        (FRAME_ALONE, 6),
        (f"{FRAME_ALONE}, where no lesion reaches them", 4),
    ]


def test_images_of_one_class_alone_have_no_figures_and_no_crash(probed):
    _, found = probe_run(Request(probed[0].run_dir, images=1))
    assert found.before.auroc["value"] is None
    assert "AUROC is undefined" in found.verdict


def test_an_ensemble_of_seeds_is_probed_by_its_mean(config, tmp_path):
    repeated = run_repeated(dataclasses.replace(config, run_dir=str(tmp_path / "two")), 2, report=False)
    _, found = probe_run(Request(repeated.run_dir, images=6))
    assert sum(share.images for share in found.artefacts[0].shares) == 6 * 3
    assert found.changes[0].images == 6


def test_masks_that_are_not_there_are_refused(probed):
    with pytest.raises(
        UserError, match="--masks=given: the dataset 'synthetic' has no masks; prepare it with --masks="
    ):
        probe_run(Request(probed[0].run_dir, masks="given"))


def test_a_segmenter_finds_the_lesions(probed, monkeypatch, tmp_path):
    """One that says "lesion" everywhere: then nothing is left where the lesion is hidden."""
    variables = unet.model().init(jax.random.key(0), input_shape=(1, 32, 32, 3))
    out = variables["params"]["out"]
    out["kernel"], out["bias"] = jnp.zeros_like(out["kernel"]), jnp.ones_like(out["bias"])
    save_segmenter(variables, tmp_path, side=32, trained_on="nothing")
    hidden = []
    logits = probe._logits

    def spying(classifiers, images):
        hidden.append(np.ptp(images.reshape(len(images), -1, 3), axis=1).max() == 0)
        return logits(classifiers, images)

    monkeypatch.setattr(probe, "_logits", spying)
    _, found = probe_run(Request(probed[0].run_dir, masks=str(tmp_path), images=6))
    assert found.masks == "a trained segmenter"
    assert found.skin.spread is None
    page = write_report([probed[0].run_dir], tmp_path / "page.html").read_text(encoding="utf-8")
    assert "None of the 18 images shows enough skin around its lesion." in page
    assert hidden[1 + list(CHANGES).index("lesion hidden")]
    with pytest.raises(UserError, match="there is no segmenter in 'nowhere'"):
        probe_run(Request(probed[0].run_dir, masks="nowhere"))


def test_probes_of_an_earlier_classifier_are_not_shown(probed, tmp_path):
    path = probed[1] / "probes.json"
    found = json.loads(path.read_text())
    assert found["schema"] == 3
    assert read_probes(tmp_path) is None


def test_a_dataset_that_is_gone_is_named(probed, tmp_path):
    with pytest.raises(UserError, match=r"the images of 'synthetic' that .* was tested on are needed and not at hand"):
        probe_run(Request(probed[0].run_dir, data_dir=tmp_path))


def test_colours_by_hand():
    image = np.zeros((224, 224, 3), np.uint8)
    image[:112] = (200, 100, 50)
    grey = grey_world(image)
    assert grey[0, 0].tolist() == [117, 117, 117]  # means 100, 50, 25, of which the mean is 58.3
    np.testing.assert_array_equal(shades_of_grey(grey), grey)
    assert shades_of_grey(np.zeros((224, 224, 3), np.uint8)).max() == 0
