"""External validation, run as people run it: one small run, one dataset that it has not seen."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.evaluation.table import format_table
from mole_jax.files.sums import claim, seal
from mole_jax.report.page import write_report
from mole_jax.runs.directory import RUN
from mole_jax.studies.external import Request, validate

ROOT = Path(__file__).parents[2]


def command(name, *flags):
    return subprocess.run(
        [sys.executable, "-m", f"experiments.{name}", *flags], capture_output=True, text=True, cwd=ROOT
    )


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare("synthetic", examples=50, data_dir=folder, workers=1)
    prepare("other", layout="synthetic", protocol="external", examples=40, seed=1, data_dir=folder, workers=1)
    return folder


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "mine"
    flags = ["--model=logistic", "--learning_rate=0.01", "--epochs=2", "--batch_size=10"]
    ran = command("run", *flags, f"--data_dir={data_dir}", f"--run_dir={run_dir}")
    assert ran.returncode == 0, ran.stderr
    return run_dir


@pytest.fixture
def run_dir(finished, tmp_path):
    return shutil.copytree(finished, tmp_path / "mine")


@pytest.fixture
def request_of(run_dir, data_dir):
    """request_of(dataset, ...): what the command would ask for."""

    def make(dataset, **changes):
        plain = {"data_dir": data_dir, "split": "all", "overlap": "refuse", "out": None}
        return Request(run_dir=run_dir, dataset=dataset, resamples=40, seed=0, **(plain | changes))

    return make


def test_the_command_writes_results_and_the_reports_section(run_dir, data_dir):
    done = command("evaluate", f"--run={run_dir}", "--dataset=other", f"--data_dir={data_dir}", "--resamples=40")
    assert (done.returncode, done.stderr) == (0, "")
    folder = run_dir / "external" / "other"
    written = {path.name for path in folder.iterdir()}
    assert written - {"calibrated_scores.csv"} == {"metrics.json", "predictions.csv", "SHA256SUMS"}
    written -= {"SHA256SUMS"}
    metrics, own = (json.loads((path / "metrics.json").read_text()) for path in (folder, run_dir))
    fitted = metrics["splits"]["test"]["calibration"]["platt"]["slope"]["value"] is not None
    assert ("calibrated_scores.csv" in written) == fitted
    assert ", ".join(sorted(written - {"calibrated_scores.csv"})) in done.stdout
    assert metrics["operating_points"] == own["operating_points"], "frozen"
    assert f"{metrics['splits']['test']['auroc']['value']:.3f}" in done.stdout
    about = metrics["external"]
    assert (about["dataset"], about["trained_on"], about["splits"]) == ("other", "synthetic", ["test"])
    assert about["overlap"]["images"] == 0
    assert metrics["leaky"] is False
    predictions = read_predictions(folder / "predictions.csv")
    assert (predictions.n, predictions.label.sum()) == (40, 20)
    assert f"report in {run_dir / 'report.html'}" in done.stdout
    assert "mine on other" in (run_dir / "report.html").read_text()


def test_images_that_the_run_knows_are_refused_with_their_number(request_of):
    with pytest.raises(UserError, match=r"\d+ of 50 images are known to the run.* by file.*give --overlap=exclude"):
        validate(request_of("synthetic"))


def test_allowed_overlap_is_stamped(request_of, run_dir):
    folder, metrics = validate(request_of("synthetic", overlap="allow"))
    assert metrics["leaky"] is True
    assert metrics["warnings"][0].startswith("LEAKAGE: ")
    assert metrics["external"]["overlap"]["by"] == {"file": metrics["external"]["overlap"]["images"]}
    scored = read_predictions(folder / "predictions.csv")
    for split in ("train", "validation", "test"):
        own = read_predictions(run_dir / "predictions" / f"{split}.csv")
        theirs = scored.select(scored.metadata["split"] == split)
        assert (theirs.image_id == own.image_id).all()
        # To rounding: the run was another process, with XLA's flags for CPU.
        np.testing.assert_allclose(theirs.logit, own.logit, rtol=1e-4, atol=1e-5)


def test_excluded_images_are_in_no_number_and_in_a_list(request_of, run_dir, data_dir):
    """The run's own dataset: all that it was trained on is left out, and its test split remains."""
    folder, metrics = validate(request_of("synthetic", overlap="exclude"))
    own = read_predictions(run_dir / "predictions" / "test.csv")
    scored = read_predictions(folder / "predictions.csv")
    with (folder / "excluded.csv").open(newline="") as file:
        excluded = list(csv.DictReader(file))
    assert {row["split"] for row in excluded} == {"train", "validation"}
    assert len(excluded) + scored.n == 50 and sorted(scored.image_id) == sorted(own.image_id)
    assert (metrics["leaky"], metrics["external"]["excluded"]) == (False, len(excluded))
    assert metrics["warnings"][0].startswith(f"EXCLUDED: {len(excluded)} of 50 images are known to the run")
    assert "these are left out of every number (excluded.csv names them)" in " ".join(format_table(metrics).split())
    page = write_report([run_dir], run_dir / "report.html").read_text()
    assert f"{len(excluded)} of 50 images are in none of these numbers: the run knows them" in page
    validate(request_of("synthetic", overlap="allow"))
    assert not (folder / "excluded.csv").exists(), "none is left out this time"


def test_where_all_images_are_known_nothing_is_left_to_judge(request_of):
    with pytest.raises(UserError, match=r"the run knows all \d+ images of 'synthetic': give other images"):
        validate(request_of("synthetic", split="train", overlap="exclude"))


def test_the_runs_own_test_split_alone_is_no_overlap(request_of, run_dir):
    folder, metrics = validate(request_of("synthetic", split="test"))
    assert folder == run_dir / "external" / "synthetic-test"
    own = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["leaky"] is False
    assert metrics["splits"]["test"]["auroc"]["value"] == own["splits"]["test"]["auroc"]["value"]


def test_without_the_training_images_the_overlap_cannot_be_checked(request_of, tmp_path, data_dir, run_dir):
    shutil.copytree(data_dir / "other", tmp_path / "data" / "other")
    config = json.loads((run_dir / "config.json").read_text())
    (run_dir / "config.json").write_text(json.dumps({**config, "data_dir": str(tmp_path / "gone")}))
    claim(run_dir, RUN, otherwise="")
    seal(run_dir, RUN)
    with pytest.raises(
        UserError, match=r"is not in .* nor in .*, and is needed to see whether .*--overlap=allow to go"
    ):
        validate(request_of("other", data_dir=tmp_path / "data"))
    _, metrics = validate(request_of("other", data_dir=tmp_path / "data", overlap="allow"))
    assert metrics["leaky"] is None
    assert metrics["warnings"][0].startswith("LEAKAGE NOT EXCLUDED: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "nowhere"}, "no dataset 'nowhere'"),
        ({"dataset": "other", "split": "train"}, "'other' has no train split; it has test: give --split=all"),
    ],
)
def test_what_cannot_be_judged_is_told(request_of, changes, message):
    with pytest.raises(UserError) as caught:
        validate(request_of(**changes))
    assert message in str(caught.value)


def test_a_run_without_its_classifier_is_told_how_to_get_it_again(request_of, run_dir, data_dir):
    shutil.rmtree(run_dir / "classifier")
    with pytest.raises(UserError, match=r"classifier/SHA256SUMS is missing; .*give the command that trained it again"):
        validate(request_of("other"))
    again = command("run", f"--config={run_dir / 'config.json'}", f"--run_dir={run_dir}")
    assert again.returncode == 0, again.stderr
    validate(request_of("other"))


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ([], "give --predictions=FILE, or --run=DIR with --dataset=NAME, and not both"),
        (["--predictions=a.csv", "--run=x"], "and not both"),
        (["--run=x"], "--run needs --dataset=NAME"),
        (
            ["--run=x", "--dataset=y", "--threshold=0.5"],
            "--threshold does not go with --run: its thresholds are frozen",
        ),
        (["--predictions=a.csv", "--dataset=y"], "--dataset does not go with --predictions: it is for --run"),
        (["--run=x", "--dataset=y"], "there is no directory x; give run directories"),
    ],
)
def test_mistakes_are_one_sentence_and_status_2(flags, message):
    done = command("evaluate", *flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
