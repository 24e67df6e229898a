import csv
import json
import shutil
from xml.etree import ElementTree

import pytest

from mole_jax.evaluation.paper_results import read_paper_results
from mole_jax.report.reproduction.reproduction import Attempt, read_comparison
from mole_jax.report.reproduction.reproduction_page import write_comparison
from mole_jax.report.reproduction.reproduction_texts import format_comparison, format_markdown, to_json


@pytest.fixture
def comparison(plain_run, bare_run, tmp_path):
    """A model with a leaky run, an honest one and a missing one; and a model of which nothing is there."""
    attempts = [
        Attempt("logistic", "logistic", "paper", bare_run),
        Attempt("logistic", "logistic", "paper_clean", tmp_path / "absent", missing="not run yet"),
        Attempt("logistic", "logistic", "grouped", plain_run),
        Attempt("cnn_released", "cnn_released, 1 epoch", "paper", tmp_path / "gone", missing="it failed: see a.log"),
    ]
    return read_comparison(attempts, dataset="mine", scale="short")


def test_every_line_has_the_figures_of_its_source(comparison, plain_run):
    assert [(line.label, line.source) for line in comparison.lines] == [
        *(("logistic", source) for source in ("printed", "corrected", "paper", "paper_clean", "grouped")),
        *(("cnn_released, 1 epoch", source) for source in ("printed", "corrected", "paper")),
    ]
    lines = {(line.label, line.source): line for line in comparison.lines}
    metrics = json.loads((plain_run / "metrics.json").read_text())
    test = metrics["splits"]["test"]
    grouped = lines["logistic", "grouped"].figures
    assert grouped["auroc"] == test["auroc"]
    for key in ("accuracy", "precision", "sensitivity", "specificity", "f1"):
        assert grouped[key] == test["operating_points"]["accuracy"][key]
    for reading in ("printed", "corrected"):
        of_cnn = next(row for row in read_paper_results(reading) if (row.model, row.split) == ("cnn", "test"))
        figures = lines["cnn_released, 1 epoch", reading].figures
        assert {key: figure["value"] for key, figure in figures.items()} == {
            key: getattr(of_cnn, key) for key in figures
        }
    assert lines["logistic", "paper"].name == "ours, paper (leaky)"
    assert lines["logistic", "grouped"].name == "ours, grouped"
    assert (lines["logistic", "paper_clean"].figures, lines["logistic", "paper_clean"].missing) == ({}, "not run yet")


def test_the_texts_hold_the_same_numbers(comparison):
    auroc = next(line for line in comparison.lines if line.source == "grouped").figures["auroc"]
    number, interval = f"{auroc['value']:.3f}", f"{auroc['low']:.3f}–{auroc['high']:.3f}"
    text = format_comparison(comparison)
    assert number in text and interval in text
    assert "ours, paper_clean: not run yet" in text
    assert "it is not a medical device" in text
    assert max(map(len, text.splitlines())) <= 108
    rows = format_markdown(comparison).splitlines()
    assert {row.count("|") for row in rows} == {10}
    assert [row for row in rows if row.startswith("|  | ours, grouped | 2 |") and f"{number} ({interval})" in row]
    assert [row for row in rows if row.startswith("|  | ours, paper_clean |  | not run yet |")]
    assert [row for row in rows if row.startswith("| logistic | paper, as printed |  | 0.523 | 0.522 |")]
    found = json.loads(json.dumps(to_json(comparison), allow_nan=False))
    assert set(found["protocols"]) == {"paper", "grouped"}
    assert found["protocols"]["paper"]["leaky"] is True
    line = next(line for line in found["lines"] if line["source"] == "grouped")
    assert (line["run"], line["epochs"], line["figures"]["auroc"]["value"]) == ("plain", 2, auroc["value"])


def test_the_page_marks_what_leaks_and_what_is_missing(comparison, plain_run, tmp_path):
    out = write_comparison(comparison, tmp_path / "out")
    page = out.read_text(encoding="utf-8")
    assert page.count("not a medical device") == 1
    assert "Do not trust the figures of paper." in page
    assert "2 of 4 runs are missing" in page and "<td>not run yet" in page and "<td>it failed: see a.log" in page
    assert "ours, paper (leaky)" in page
    assert "<script>" not in page and "bare & <b>" not in page, "names are escaped"
    link = page.split('<a href="')[-1].split('"')[0]
    assert not link.startswith(("/", "file:"))
    for name in ("auroc-by-protocol", "auroc-table", "metrics-0", "metrics-1", "roc-paper", "roc-grouped", "training"):
        assert f'<figure id="{name}"' in page
    (folder,) = {path.parent for path in out.parent.rglob("auroc-by-protocol.svg")}
    ElementTree.fromstring((folder / "auroc-by-protocol.svg").read_text())
    with (folder / "metrics-0.csv").open() as file:
        assert [row["source"] for row in csv.DictReader(file)] == ["printed", "corrected", "paper", "grouped"]
    assert (out.parent / "reproduction.json").is_file() and (out.parent / "reproduction.md").is_file()


def test_links_lead_to_the_pages_of_the_runs(plain_run, tmp_path):
    run = shutil.copytree(plain_run, tmp_path / "run")  # a page of its own: other tests share the run
    (run / "report.html").touch()
    comparison = read_comparison([Attempt("logistic", "logistic", "grouped", run)], dataset="a", scale="full")
    out = write_comparison(comparison, tmp_path / "out")
    link = out.read_text().split('<a href="')[-1].split('"')[0]
    assert (out.parent / link).resolve() == (run / "report.html").resolve()


def test_grids_have_a_table_each_or_a_reason(tmp_path):
    found = {"learning_rate": 0.1, "batch_size": 20, "diverged": None, "validation_accuracy": 0.55}
    (tmp_path / "sweep.json").write_text(json.dumps({"configurations": [found | {"validation_auroc": 0.6}]}))
    grids = [
        Attempt("logistic", "logistic, grid", "paper", tmp_path),
        Attempt("logistic", "logistic, grid", "grouped", tmp_path / "absent", missing="not run yet"),
    ]
    comparison = read_comparison([], grids=grids, dataset="mine", scale="short")
    page = write_comparison(comparison, tmp_path / "out").read_text()
    assert "Learning rate and batch size, paper (leaky)" in page
    assert '0.550<span class="interval">AUROC 0.600' in page
    assert "The grid is missing: not run yet." in page
    markdown = format_markdown(comparison)
    assert "| Learning rate and batch size, paper (leaky) | batch 20 | paper |" in markdown
    assert "| rate 0.1 | 0.550 (AUROC 0.600) | 0.5209 |" in markdown


def test_a_page_without_any_run_is_a_page(tmp_path):
    attempts = [Attempt("cnn", "cnn", "grouped", tmp_path / "absent", missing="not run yet")]
    comparison = read_comparison(attempts, dataset="mine", scale="full")
    page = write_comparison(comparison, tmp_path / "out").read_text()
    assert "1 of 1 runs are missing" in page
    assert "No run is finished yet." in page
