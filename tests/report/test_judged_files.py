"""The page of a file of predictions: every section that it has data for, and a sentence where it has not."""

import dataclasses
import re

import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.folder import write_evaluation
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.summary import evaluate
from mole_jax.report.page import write_report


def scored(seed=0, n=300, prefix="T"):
    rng = np.random.default_rng(seed)
    label = (rng.random(n) < 0.3).astype(np.int64)
    logit = rng.normal(1.5 * label - 1, 1)
    return Predictions(
        np.array([f"{prefix}{i}" for i in range(n)]),
        label,
        1 / (1 + np.exp(-logit)),
        metadata={"sex": rng.choice(["male", "F", ""], n), "age": rng.choice(["33", "50"], n)},
        source=f"/somewhere/{prefix}.csv",
    )


def judged(folder, test, **asked):
    folder.mkdir()
    splits = {"test": test} | ({"validation": asked["validation"]} if "validation" in asked else {})
    write_evaluation(folder, splits, evaluate(test, resamples=20, **asked), command=["evaluate.py", "--predictions=x"])
    return folder


def text_of(page):
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"(?s)<(style|svg).*?</\1>", " ", page.read_text())).split())


def sections(page):
    return re.findall(r'<section id="([\w-]+)"', page.read_text())


def test_it_has_every_section_but_training_and_checklist(tmp_path):
    page = write_report([judged(tmp_path / "mine", scored())], tmp_path / "report.html")
    assert sections(page) == [
        *("summary", "discrimination", "table", "errors", "risk", "benefit", "for-whom", "worst", "making"),
    ]
    text = text_of(page)
    assert "Predictions T.csv. How the model was trained is not known." in text
    assert "Cross-fitted: no validation predictions were given" in text
    assert "cross-fitted where there is no validation: each image is scaled by what the other folds gave" in text
    assert "Drawn from Platt-scaled scores (cross-fitted)" in text
    assert "melanomas were missed at the threshold for target sensitivity 95%, cross-fitted" in text
    assert "paper, as printed" not in text
    assert "experiments.evaluate --predictions=x" in text


def test_the_cross_fitted_calls_are_those_that_are_shown(tmp_path):
    test = scored()
    page = write_report([judged(tmp_path / "mine", test)], tmp_path / "report.html")
    cells = evaluate(test, resamples=20)["splits"]["test"]["operating_points"]["sensitivity_0.95"]["confusion"]
    assert f"{cells['fn']} melanomas were missed" in text_of(page)
    assert f"{cells['fp']:,} images without melanoma were called melanoma" in text_of(page)


def test_subgroups_are_set_against_each_other(tmp_path):
    test = scored(n=900)
    worse = np.where(test.metadata["sex"] == "male", 1 - test.score, test.score)
    folder = judged(tmp_path / "mine", dataclasses.replace(test, score=worse))
    page = write_report([folder], tmp_path / "report.html")
    rows = (tmp_path / "figures" / "contrasts-mine.csv").read_text().splitlines()
    assert rows[0].startswith("attribute,first,second,auroc_difference,auroc_difference_low")
    assert any(row.startswith("sex,female,male,") or row.startswith("sex,male,female,") for row in rows)
    text = text_of(page)
    assert re.search(r"sex: (female − male|male − female)", text)
    assert re.search(r"First minus second, with 95% intervals\. [1-9]\d* of \d+ differences leave out 0", text)


def test_with_validation_it_says_that(tmp_path):
    folder = judged(tmp_path / "mine", scored(), validation=scored(1, prefix="V"))
    text = text_of(write_report([folder], tmp_path / "report.html"))
    assert "Predictions T.csv; validation predictions V.csv." in text
    assert "Thresholds were chosen on validation and frozen." in text
    assert "ross-fitted" not in text


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_and_no_threshold_are_said(tmp_path, label):
    test = scored()
    one = dataclasses.replace(test, label=np.full(test.n, label))
    text = text_of(write_report([judged(tmp_path / "mine", one)], tmp_path / "report.html"))
    assert "The test images are all of one class, so there is no ROC curve." in text
    assert "There is no threshold to judge" in text


def test_a_threshold_of_ones_own_alone(tmp_path):
    test = scored()
    few = test.select((np.cumsum(test.label) <= 6) | (test.label == 0))
    text = text_of(write_report([judged(tmp_path / "mine", few, threshold=0.4)], tmp_path / "report.html"))
    assert "A threshold was given." in text


def test_beside_runs_and_others_under_names_of_its_own(tmp_path, plain_run):
    (tmp_path / "x").mkdir()
    (tmp_path / "y").mkdir()
    folders = [judged(tmp_path / place / "mine", scored(seed)) for seed, place in enumerate("xy")]
    page = write_report([plain_run, *folders], tmp_path / "report.html")
    assert f"{folders[0]} Predictions T.csv" in text_of(page)
    assert "Model logistic, trained on synthetic" in text_of(page)
    assert "by-epoch" in sections(page)
    with pytest.raises(UserError, match="mine is given twice"):
        write_report([folders[0], folders[0]], tmp_path / "report.html")


def test_a_damaged_folder_is_told(tmp_path):
    folder = judged(tmp_path / "mine", scored())
    (folder / "metrics.json").unlink()
    with pytest.raises(UserError, match=r"metrics\.json is missing; run python -m experiments\.evaluate"):
        write_report([folder], tmp_path / "report.html")
