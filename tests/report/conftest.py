"""Run directories as experiments.run leaves them, made without training."""

import dataclasses
import json

import numpy as np
import pytest

from mole_jax.data.facts import read_facts
from mole_jax.data.manifest import read_manifest
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.versions import dataset_directory
from mole_jax.evaluation.external import evaluate_external
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions, read_predictions, write_predictions
from mole_jax.evaluation.summary import evaluate_run, write_metrics
from mole_jax.report.page import write_report

NASTY = "<script>alert('$x$')</script>"


@pytest.fixture(scope="session")
def report_data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report-data")
    prepare("synthetic", examples=100, data_dir=folder, workers=1)
    return folder


def fake_predictions(rows, *, seed):
    label = np.array([row.label for row in rows])
    logit = np.random.default_rng(seed).normal(1.5 * label - 1, 1.0)
    return Predictions(
        image_id=np.array([row.image_id for row in rows]),
        lesion_id=np.array([row.lesion_id for row in rows]),
        label=label,
        score=1 / (1 + np.exp(-logit)),
        logit=logit,
        metadata={name: np.array([str(getattr(row, name)) for row in rows]) for name in ("sex", "dx", "localization")},
    )


def make_run(folder, data_dir, *, seed=0, leaky=False, change=lambda split, predictions: predictions):
    """A finished run of the logistic regression on the synthetic dataset, with scores drawn at random."""
    directory = dataset_directory(data_dir, "synthetic")
    rows = read_manifest(directory)
    splits = {
        split: change(split, fake_predictions([row for row in rows if row.split == split], seed=seed + i))
        for i, split in enumerate(("train", "validation", "test"))
    }
    (folder / "predictions").mkdir(parents=True)
    for split, predictions in splits.items():
        write_predictions(folder / "predictions" / f"{split}.csv", predictions)
    protocol = "paper" if leaky else "grouped"
    write_metrics(folder / "metrics.json", evaluate_run(splits, leaky=leaky, protocol=protocol, resamples=40))
    config = {"model": "logistic", "dataset": "synthetic", "epochs": 2, "learning_rate": 0.1 + seed}
    (folder / "config.json").write_text(json.dumps({**config, "data_dir": str(data_dir)}))
    environment = {
        "command": ["run.py", "--model=logistic"],
        "packages": {"numpy": "2.0"},
        "git_commit": None,
        "dataset_fingerprint": read_facts(directory).fingerprint,
    }
    (folder / "environment.json").write_text(json.dumps(environment))
    lines = [{"step": 1, "train_loss": 0.7}]
    for epoch in (1, 2):
        losses = {"epoch_train_loss": 0.7 / epoch, "validation_loss": 0.8 / epoch, "seconds": 1.5 * epoch}
        shares = {"epoch_train_accuracy": 0.5, "validation_accuracy": 0.6, "validation_auroc": 0.55 + epoch / 100}
        lines.append({"step": epoch, "epoch": epoch, **losses, **shares})
    (folder / "metrics.jsonl").write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 3, "tr')
    np.save(folder / "weight_picture.npy", np.linspace(-1, 1, 224 * 224 * 3, dtype=np.float32).reshape(224, 224, 3))
    return folder


def make_nasty(split, predictions):
    """Names that would be HTML, or mathematics to matplotlib."""
    if split != "test":
        return predictions
    ids = np.array([NASTY + name for name in predictions.image_id])
    sites = np.array([NASTY] * predictions.n)
    return dataclasses.replace(predictions, image_id=ids, metadata={"sex": sites})


@pytest.fixture(scope="session")
def plain_run(tmp_path_factory, report_data):
    return make_run(tmp_path_factory.mktemp("runs") / "plain", report_data)


@pytest.fixture(scope="session")
def bare_run(tmp_path_factory, report_data):
    """Leaky, with names to escape, and with everything gone that may be missing."""
    folder = tmp_path_factory.mktemp("runs") / "bare & <b>"
    run = make_run(folder, report_data, seed=7, leaky=True, change=make_nasty)
    (run / "metrics.jsonl").unlink()
    (run / "weight_picture.npy").unlink()
    return run


@pytest.fixture
def moles_run(tmp_path, report_data):
    """A test split without melanomas, all with the score 0."""

    def moles_only(split, predictions):
        if split != "test":
            return predictions
        moles = predictions.select(predictions.label == 0)
        return dataclasses.replace(moles, score=np.zeros(moles.n), logit=None)

    return make_run(tmp_path / "moles", report_data, change=moles_only)


@pytest.fixture(scope="session")
def plain_page(plain_run, tmp_path_factory):
    """The page of one run, dataset at hand."""
    return write_report([plain_run], tmp_path_factory.mktemp("plain") / "new" / "report.html")


@pytest.fixture(scope="session")
def pair_page(plain_run, bare_run, tmp_path_factory):
    """The page of two runs, no dataset at hand."""
    folder = tmp_path_factory.mktemp("pair")
    return write_report([plain_run, bare_run], folder / "report.html", data_dir=folder / "nowhere")


@pytest.fixture
def validated(tmp_path, report_data):
    """validated(leaky=...): a run with results on another dataset, drawn at random."""

    def make(*, leaky=False, name="elsewhere"):
        run = make_run(tmp_path / "run", report_data)
        external = fake_predictions(read_manifest(dataset_directory(report_data, "synthetic")), seed=5)
        points = json.loads((run / "metrics.json").read_text())["operating_points"].values()
        metrics = evaluate_external(
            external,
            validation=read_predictions(run / "predictions" / "validation.csv"),
            points=[OperatingPoint(**point) for point in points],
            about={},
            warnings=["LEAKAGE: 7 of 100 images are known to the run"] if leaky else [],
            leaky=leaky,
            resamples=40,
        )
        folder = run / "external" / name
        folder.mkdir(parents=True)
        write_metrics(folder / "metrics.json", metrics)
        write_predictions(folder / "predictions.csv", external)
        return run, metrics

    return make
