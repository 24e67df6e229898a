"""Scoring in bounded memory, and classifiers that cannot score one photograph."""

import dataclasses
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mole_jax.classifier.classifier import CLASS_NAMES, Classifier, Origin
from mole_jax.classifier.decision import Decision
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.inputs.normalize import Inputs
from mole_jax.studies import predict
from mole_jax.studies.predict import as_ensemble, find_images, score_photographs

POINT = OperatingPoint("sensitivity_0.95", "highest threshold with sensitivity >= 0.95", "validation", 0.5)


def classifier(normalize="image", fingerprint="a"):
    random = np.random.default_rng(0)
    kernel = random.normal(0, 0.01, (224 * 224 * 3, 1)).astype(np.float32)
    return Classifier(
        config=RunConfig(model="logistic", normalize=normalize),
        variables={"params": {"fc1": {"kernel": kernel, "bias": np.zeros(1, np.float32)}}, "batch_stats": {}},
        stage="images",
        backbone=None,
        inputs=Inputs(normalize),
        decision=Decision((POINT,), (1.0, 0.0), 1.0, "", 0.5, 0.1),
        origin=Origin("run", "data", fingerprint, "ham10000", "grouped", False, "", 1),
        class_names=CLASS_NAMES,
    )


@pytest.fixture
def photographs(tmp_path):
    random = np.random.default_rng(1)
    for i in range(12):
        pixels = random.integers(0, 256, (30, 40, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f"{i:02d}.png")
    (tmp_path / "05.png").write_bytes(b"torn")
    return tmp_path


def test_files_are_decoded_some_at_a_time_in_their_order(photographs, monkeypatch):
    ensemble = as_ensemble([classifier()], [Path("run")])
    paths, progress, held = find_images([str(photographs)]), [], []
    whole = list(score_photographs(ensemble, paths))
    monkeypatch.setattr(predict, "AT_A_TIME", 5)
    score = predict._score
    monkeypatch.setattr(predict, "_score", lambda e, images, *rest: held.append(len(images)) or score(e, images, *rest))
    pieces = list(score_photographs(ensemble, paths, on_progress=progress.append))
    assert progress == [5, 5, 2]
    assert held == [5, 4, 2]
    assert [each.path for each in pieces] == paths
    assert [each.score for each in pieces[:5]] == [each.score for each in whole[:5]]
    assert pieces[5].reason == "not an image" and np.isnan(pieces[5].score)
    assert pieces[6:] == whole[6:]


def deadly(path):
    if path.name == "03.png":
        os.kill(os.getpid(), 9)
    return predict.load_image(path)


def test_a_file_that_kills_its_decoder_takes_no_other_along(photographs, monkeypatch):
    monkeypatch.setattr(predict, "_load", deadly)
    monkeypatch.setattr(predict, "cores", lambda: 2)
    (photographs / "05.png").unlink()
    scored = list(score_photographs(as_ensemble([classifier()], [Path("run")]), find_images([str(photographs)])))
    assert [each.path.name for each in scored if each.reason] == ["03.png"]
    assert scored[3].reason == "kills the process that decodes it"
    assert len(scored) == 11


def test_a_classifier_that_reads_its_batch_scores_no_photograph():
    with pytest.raises(UserError, match=r"runs/x was trained with normalize='batch': .* train with --normalize=image"):
        as_ensemble([classifier("batch")], [Path("runs/x")])


def test_classifiers_of_different_data_have_no_common_threshold():
    ensemble = as_ensemble([classifier(), classifier(fingerprint="b")], [Path("a"), Path("b")])
    assert ensemble.decision is None
    assert "trained on different datasets" in ensemble.why_no_decision


def test_scores_that_were_not_calibrated_have_no_risk(photographs):
    plain = classifier()
    raw = dataclasses.replace(plain, decision=dataclasses.replace(plain.decision, platt=None, why_uncalibrated="x"))
    (scored,) = score_photographs(as_ensemble([raw], [Path("run")]), [photographs / "00.png"])
    assert 0 < scored.score < 1
    assert np.isnan(scored.calibrated) and np.isnan(scored.risk)
    assert scored.melanoma is (scored.score >= 0.5)


def test_files_are_found_once_and_hidden_ones_not_at_all(photographs):
    (photographs / "sub").mkdir()
    (photographs / "sub" / "a.jpg").touch()
    (photographs / ".cache").mkdir()
    (photographs / ".cache" / "b.jpg").touch()
    found = find_images([str(photographs / "1*.png"), str(photographs), str(photographs / "00.png")])
    names = [path.name for path in found]
    assert names[:2] == ["10.png", "11.png"]
    assert len(names) == len(set(names)) == 13
    (photographs / "empty").mkdir()
    with pytest.raises(UserError, match=r"there is no file in that folder; give a folder of images"):
        find_images([str(photographs / "empty")])
