"""What the page says of intervals, thresholds and subgroups, and when it says it."""

import csv
import dataclasses
import html
import io
import json
import re

import numpy as np
import pytest

from mole_jax.evaluation.statistics.intervals import estimate, point, undefined
from mole_jax.report.figures.roc_figure import point_name
from mole_jax.report.page import write_report
from mole_jax.report.parts import estimate_text, interval_text
from tests.report.conftest import make_run


def text_of(page):
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page.read_text())).split())


def rows_of(path):
    return list(csv.DictReader(io.StringIO(path.read_text())))


@pytest.fixture(scope="module")
def many(tmp_path_factory, report_data):
    """A run whose predictions are repeated under other ids until there are enough lesions for every interval."""

    def repeated(split, predictions, times=12):
        def named(column, i):
            return np.char.add(column, f"_{i}")

        rng = np.random.default_rng(len(split))
        copies = [named(predictions.image_id, i) for i in range(times)]
        logit = np.tile(predictions.logit, times) + rng.normal(scale=0.7, size=times * predictions.n)
        return dataclasses.replace(
            predictions,
            image_id=np.concatenate(copies),
            lesion_id=np.concatenate([named(predictions.lesion_id, i) for i in range(times)]),
            label=np.tile(predictions.label, times),
            logit=logit,
            score=1 / (1 + np.exp(-logit)),
            metadata={name: np.tile(column, times) for name, column in predictions.metadata.items()},
        )

    run = make_run(tmp_path_factory.mktemp("many") / "many", report_data, change=repeated)
    return run, write_report([run], run / "report.html")


def test_an_estimate_as_text():
    assert estimate_text(estimate(0.5, 0.25, 0.75, "mover")) == "0.500 (0.250–0.750)"
    assert estimate_text(estimate(-0.5, -0.75, 0.25, "mover")) == "−0.500 (−0.750 to 0.250)"
    assert estimate_text(estimate(7.02911, 7.02908, 7.02914, "x")) == "7.02911 (7.02908–7.02914)"
    assert estimate_text(point(0.5, reason="4 lesions")) == "0.500 (no interval: 4 lesions)"
    assert estimate_text(undefined("there is no melanoma")) == "– (there is no melanoma)"
    assert estimate_text({"value": 0.521, "low": None, "high": None}) == "0.521"  # a number of the paper
    assert estimate_text(None) == "–"
    assert interval_text(estimate(0.5, 0.25, 0.75, "mover")) == "0.500 (0.250–0.750)"
    assert interval_text(point(0.5, reason="4 lesions")) == "0.500"
    assert interval_text(undefined("there is no melanoma")) == "–"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("sensitivity_0.95", "target sensitivity 95%"),
        ("sensitivity_0.975", "target sensitivity 97.5%"),
        ("confident_0.9", "target sensitivity 90% with confidence"),
        ("accuracy", "best accuracy"),
    ],
)
def test_operating_points_by_name(name, text):
    assert point_name(name) == text


def test_why_there_is_no_interval_stands_under_the_value(plain_run, plain_page):
    f1 = json.loads((plain_run / "metrics.json").read_text())["splits"]["test"]["operating_points"]["accuracy"]["f1"]
    assert f1["low"] is None
    cell = f'{f1["value"]:.3f}<span class="reason">no interval: {f1["reason"]}</span>'
    assert cell in html.unescape(plain_page.read_text())


def test_with_enough_lesions_nothing_is_withheld(many):
    assert "no interval:" not in text_of(many[1])


def test_what_a_threshold_keeps_on_new_lesions_stands_beside_it(many):
    run, page = many
    of = json.loads((run / "metrics.json").read_text())["operating_points"]["sensitivity_0.95"]
    assert f"{of['expected']:.3f} below in {of['short']:.0%}" in text_of(page)
    rows = {row["operating_point"]: row for row in rows_of(run / "figures/operating-points.csv")}
    assert float(rows["sensitivity_0.95"]["expected_sensitivity"]) == of["expected"]
    assert float(rows["sensitivity_0.95"]["probability_below_target"]) == of["short"]
    assert rows["youden"]["expected_sensitivity"] == ""


def test_the_assumption_stands_beside_the_prevalences(many):
    assert "assumes that only the share of melanomas differs (label shift)" in text_of(many[1])


def test_subgroups_are_counted_that_differ_from_the_rest(many):
    run, page = many
    metrics = json.loads((run / "metrics.json").read_text())
    differences = [
        of
        for levels in metrics["splits"]["test"]["subgroups"].values()
        for row in levels
        for of in row["difference"].values()
        if of["low"] is not None
    ]
    apart = sum(not of["low"] <= 0 <= of["high"] for of in differences)
    assert f"That is so for {apart} of {len(differences)} differences." in text_of(page)
    assert len(differences) > 5
    (row, *_) = rows_of(run / "figures/subgroups-many.csv")
    of = metrics["splits"]["test"]["subgroups"][row["attribute"]][0]["difference"]["sensitivity"]
    assert float(row["sensitivity_difference_low"]) == of["low"]


def test_lesions_are_counted_as_lesions_where_they_have_several_images(many):
    run, page = many
    test = json.loads((run / "metrics.json").read_text())["splits"]["test"]
    assert test["groups"] < test["images"]
    at = test["by_lesion"]["maximum"]["operating_points"]["sensitivity_0.95"]["sensitivity"]
    assert (
        f"Sensitivity by lesion (highest score of its images) {at['value']:.3f} {at['low']:.3f}–{at['high']:.3f}"
        in text_of(page)
    )


def test_in_the_large_is_not_called_the_intercept(many):
    run, page = many
    before = json.loads((run / "metrics.json").read_text())["splits"]["test"]["calibration"]["before"]
    assert "In the large O:E Slope Intercept beside it" in text_of(page)
    assert before["in_the_large"]["value"] != before["intercept"]["value"]
    shown = estimate_text(before["in_the_large"]).replace(" (", " ").rstrip(")")
    assert f"as given {shown} " in text_of(page)


def test_the_tables_of_a_run_are_at_the_threshold_of_95_percent_but_for_the_papers(many):
    run, _ = many
    test = json.loads((run / "metrics.json").read_text())["splits"]["test"]["operating_points"]
    rows = rows_of(run / "figures/results.csv")
    (paper,) = [row for row in rows if row["source"] == "many" and row["split"] == "test"]
    assert float(paper["sensitivity"]) == test["accuracy"]["sensitivity"]["value"]
    missed = rows_of(run / "figures/missed-many.csv")
    assert len(missed) == test["sensitivity_0.95"]["confusion"]["fn"]


def test_a_run_of_an_older_schema_is_judged_again(many, tmp_path):
    run, page = many
    metrics = json.loads((run / "metrics.json").read_text())
    old = {key: value for key, value in metrics.items() if key != "splits"} | {"schema": 1, "splits": {}}
    (run / "metrics.json").write_text(json.dumps(old))
    try:
        again = write_report([run], tmp_path / "report.html")
    finally:
        (run / "metrics.json").write_text(json.dumps(metrics))
    assert again.read_bytes() == page.read_bytes()
