import base64
import csv
import html
import io
import itertools
import json
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from mole_jax.errors import UserError
from mole_jax.report.page import write_report

VOID = {"meta", "img", "br", "hr", "link", "input"}
FIGURES = [
    "training",
    "roc",
    "operating-points",
    "results",
    "confusion",
    "scores",
    "calibrations",
    "prevalence",
    "decision-curve",
    "subgroups-plain",
    "missed-plain",
    "alarms-plain",
    "weights-plain",
]


class Reader(HTMLParser):
    """Tags with their attributes, and the visible text; fails on tags that are not closed in order."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.open, self.text = [], [], ""
        self.feed(page.read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] not in ("style",):
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def plain(plain_page):
    return Reader(plain_page)


@pytest.fixture(scope="module")
def pair(pair_page):
    return Reader(pair_page)


def test_every_figure_is_there_with_its_caption_and_its_numbers(plain, plain_page):
    assert [figure["id"] for figure in plain.all("figure")] == FIGURES
    links = [link for link in plain.all("a") if "download" in link]
    assert [link["download"] for link in links] == [f"{name}.csv" for name in FIGURES]
    for name, link in zip(FIGURES, links, strict=True):
        text = base64.b64decode(link["href"].split(",", 1)[1]).decode()
        rows = list(csv.reader(io.StringIO(text)))
        assert len(rows) > 1
        assert {len(row) for row in rows} == {len(rows[0])}
        assert (plain_page.parent / "figures" / f"{name}.csv").read_text() == text
    assert len(plain.all("figcaption")) == len(FIGURES)


def test_every_picture_has_a_text_alternative(plain, pair):
    for page in (plain, pair):
        ids = {attributes["id"] for _, attributes in page.tags if "id" in attributes}
        drawings = page.all("svg")
        assert len(drawings) >= 10
        for drawing in drawings:
            assert drawing["role"] == "img"
            assert set(drawing["aria-labelledby"].split()) <= ids
        for image in page.all("img"):
            assert len(image["alt"]) > 20


def test_ids_are_unique(plain, pair):
    for page in (plain, pair):
        ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
        assert len(ids) == len(set(ids))
        targets = [link["href"][1:] for link in page.all("a") if link["href"].startswith("#")]
        assert targets
        assert set(targets) <= set(ids)


def test_nothing_is_fetched_and_nothing_runs(plain_page, pair_page):
    for path in (plain_page, pair_page):
        page = Reader(path)
        assert not page.all("script")
        assert not page.all("link")
        assert not page.all("iframe")
        for tag, attributes in page.tags:
            assert not [name for name in attributes if name.startswith("on")]
            for name in ("src", "href", "xlink:href"):
                if name in attributes and (tag, name) != ("a", "href"):
                    assert attributes[name].startswith(("data:", "#"))
        assert not re.search(r"@import|url\((?!#)", path.read_text())
        assert path.stat().st_size < 5_000_000


def test_drawings_as_files_are_xml_of_their_own(plain_page):
    files = sorted((plain_page.parent / "figures").glob("*.svg"))
    assert len(files) >= 10
    for file in files:
        assert ElementTree.parse(file).getroot().tag == "{http://www.w3.org/2000/svg}svg"


def test_numbers_are_those_of_metrics_json(plain, plain_run):
    test = json.loads((plain_run / "metrics.json").read_text())["splits"]["test"]
    at = test["operating_points"]["sensitivity_0.95"]
    for figure in (test["auroc"], at["sensitivity"], at["specificity"]):
        assert f"{figure['value']:.3f} {figure['low']:.3f}–{figure['high']:.3f}" in plain.text
    for row in csv.DictReader(io.StringIO(_numbers(plain, "results.csv"))):
        if row["source"] == "plain" and row["split"] == "test":
            assert float(row["auroc"]) == test["auroc"]["value"]
            assert float(row["sensitivity_low"]) == test["operating_points"]["accuracy"]["sensitivity"]["low"]


def test_the_papers_table_stands_beside_ours_in_both_readings(plain):
    rows = [
        (row["source"], row["model"], row["split"], row["precision"])
        for row in csv.DictReader(io.StringIO(_numbers(plain, "results.csv")))
    ]
    assert ("paper, as printed", "logistic", "test", "0.522") in rows
    assert ("paper, columns corrected", "logistic", "test", "0.515") in rows


def test_accuracies_that_the_paper_quotes_stand_beside_ours_and_beside_calling_nothing(plain, plain_run):
    test = json.loads((plain_run / "metrics.json").read_text())["splits"]["test"]
    ours, none = test["operating_points"]["accuracy"]["accuracy"]["value"], 1 - test["positives"] / test["images"]
    assert "doctors 69% to 91%, models 72% to 94%, on other images" in plain.text
    assert f"where its validation accuracy is best: {ours:.3f} (" in plain.text
    assert f"calling nothing melanoma: {none:.3f}." in plain.text


def test_roc_curve_runs_through_its_operating_points(plain, plain_run):
    test = json.loads((plain_run / "metrics.json").read_text())["splits"]["test"]
    curve = {
        (row["sensitivity"], row["specificity"]) for row in csv.DictReader(io.StringIO(_numbers(plain, "roc.csv")))
    }
    corners = sorted((1 - float(specificity), float(sensitivity)) for sensitivity, specificity in curve)
    area = sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in itertools.pairwise(corners))
    assert area == pytest.approx(test["auroc"]["value"], abs=1e-12)


def test_leaky_run_has_a_red_band_and_a_clean_one_has_none(plain, pair):
    assert not [a for a in plain.all("div") if a.get("class") == "leaky"]
    assert len([a for a in pair.all("div") if a.get("class") == "leaky"]) == 1
    assert "Do not trust the figures of bare & <b> (leaky)." in pair.text
    assert "bare & <b> (leaky), AUROC" in pair.text  # the legend
    assert "LEAKY: protocol 'paper'" in pair.text


def test_synthetic_data_are_called_synthetic(plain):
    assert "The dataset of plain is synthetic" in plain.text


def test_not_a_medical_device_is_said_once(plain, pair):
    for page in (plain, pair):
        assert page.text.count("not a medical device") == 1


def test_names_from_files_are_escaped(pair_page, pair):
    source = pair_page.read_text()
    assert "<script" not in source
    assert "<b>." not in source
    assert "<script>alert('$x$')</script>SYN_" in html.unescape(source)  # whole, the $ too
    assert "bare & <b>" in pair.text


def test_missing_parts_are_said_in_a_sentence(pair):
    assert "The run has no metrics.jsonl with a finished epoch" in pair.text
    assert "The run has no weight_picture.npy" in pair.text
    assert "The dataset synthetic is not at hand" in pair.text
    assert "The runs cannot be compared in pairs:" in pair.text  # the ids differ
    assert not [image for image in pair.all("img") if image["src"].startswith("data:image/jpeg")]


def test_test_images_of_one_class_and_one_score(moles_run, tmp_path):
    page = Reader(write_report([moles_run], tmp_path / "report.html"))
    assert "The test images are all of one class, so there is no ROC curve." in page.text
    assert "only one class is present" in page.text
    assert "No melanomas were missed" in page.text


def test_photographs_are_inside_the_page_where_the_dataset_is_at_hand(plain):
    assert [image for image in plain.all("img") if image["src"].startswith("data:image/jpeg;base64,")]
    assert "licence" in plain.text


def test_dataset_of_another_fingerprint_is_not_shown(plain_run, tmp_path):
    run = shutil.copytree(plain_run, tmp_path / "moved")
    environment = json.loads((run / "environment.json").read_text())
    (run / "environment.json").write_text(json.dumps({**environment, "dataset_fingerprint": "0" * 64}))
    page = Reader(write_report([run], run / "report.html"))
    assert "is not the one that this run was made with" in page.text
    assert not [image for image in page.all("img") if image["src"].startswith("data:image/jpeg")]


def test_same_run_gives_the_same_page_wherever_it_lies(plain_run, plain_page, tmp_path):
    copy = shutil.copytree(plain_run, tmp_path / "plain")
    assert write_report([copy], copy / "report.html").read_bytes() == plain_page.read_bytes()


def test_checklist_counts_what_is_there(plain):
    stated = re.search(r"(\d+) filled, (\d+) partly, (\d+) missing", " ".join(plain.text.split()))
    states = [a["class"][3:] for a in plain.all("tr") if a.get("class", "").startswith("is-")]
    assert [states.count(state) for state in ("filled", "partly", "missing")] == [int(n) for n in stated.groups()]
    assert len(states) > 27  # all of TRIPOD+AI
    assert "photographs: the lesions are drawn" in plain.text


@pytest.mark.parametrize("file", ["config.json", "metrics.json", "predictions/test.csv"])
def test_directory_that_is_no_finished_run(plain_run, tmp_path, file):
    run = shutil.copytree(plain_run, tmp_path / "half")
    (run / file).unlink()
    with pytest.raises(UserError, match=f"half is not the directory of a finished run: it has no {re.escape(file)};"):
        write_report([run], tmp_path / "report.html")


def test_no_such_directory(tmp_path):
    with pytest.raises(UserError, match=r"there is no directory .*nowhere; give run directories"):
        write_report([tmp_path / "nowhere"], tmp_path / "report.html")


def test_same_run_twice(plain_run, tmp_path):
    with pytest.raises(UserError, match="plain is given twice"):
        write_report([plain_run, plain_run / "."], tmp_path / "report.html")


def test_broken_json(plain_run, tmp_path):
    run = shutil.copytree(plain_run, tmp_path / "broken")
    (run / "metrics.json").write_text("{")
    with pytest.raises(UserError, match=r"metrics\.json is damaged .*; restore it, or run the experiment again"):
        write_report([run], tmp_path / "report.html")


def test_report_needs_no_jax():
    heavy = ("jax", "flax", "grain", "tensorflow")
    code = f"import sys, mole_jax.report.page; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def _numbers(page, name):
    (link,) = [link for link in page.all("a") if link.get("download") == name]
    return base64.b64decode(link["href"].split(",", 1)[1]).decode()


def test_a_page_over_many_runs_shows_what_they_have_in_common(plain_run, tmp_path):
    runs = [shutil.copytree(plain_run, tmp_path / f"run{i}") for i in range(9)]
    page = Reader(write_report(runs, tmp_path / "many" / "report.html"))
    assert "9 runs make 36 pairs, too many to tell chance from difference; compare those that you chose" in page.text
    assert "are shown for up to 8 runs; python -m experiments.report --runs=RUN makes the page of one." in page.text
    assert all(f"run{i}" in page.text for i in range(9))
    assert not [a for a in page.all("section") if a.get("id") == "by-epoch"]
    assert "Mole or melanoma: 9 runs" in page.text
