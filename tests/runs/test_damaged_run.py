"""A run is read as it was written, or not at all; and nothing of it is lost on the way to a refusal."""

import dataclasses
import json
import shutil

import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.files.changes import SUMS
from mole_jax.report.page import write_report
from mole_jax.runs.directory import hold
from mole_jax.runs.read import read_runs
from mole_jax.studies.experiment import run_experiment

CONFIG = RunConfig(model="logistic", epochs=2, batch_size=10, learning_rate=1e-4)


def everything(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """A finished run, and one of another seed beside it."""
    folder = tmp_path_factory.mktemp("finished")
    for seed in (0, 1):
        here = dataclasses.replace(CONFIG, seed=seed, data_dir=str(data_dir), run_dir=str(folder / f"seed{seed}"))
        run_experiment(here, report=False)
    return folder


@pytest.fixture
def run_dir(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "runs")
    return tmp_path / "runs" / "seed0"


def edit(path, change):
    value = json.loads(path.read_text())
    change(value)
    path.write_text(json.dumps(value))


def from_other(name):
    return lambda run_dir: shutil.copyfile(run_dir.parent / "seed1" / name, run_dir / name)


def shorter(run_dir):
    path = run_dir / "predictions" / "test.csv"
    path.write_text("".join(path.read_text().splitlines(keepends=True)[:-1]))


def swapped(run_dir):
    path = run_dir / "predictions" / "test.csv"
    head, *rows = path.read_text().splitlines()
    label = head.split(",").index("label")
    cells = [row.split(",") for row in rows]
    for row in cells:
        row[label] = {"0": "1", "1": "0"}[row[label]]
    path.write_text("\n".join([head, *map(",".join, cells)]) + "\n")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (from_other("metrics.json"), "metrics.json has changed since it was written"),
        (from_other("predictions/validation.csv"), "validation.csv has changed since it was written"),
        (lambda d: edit(d / "environment.json", lambda e: e.pop("weights")), "environment.json has changed since it"),
        (from_other(SUMS), "config.json has changed since it was written"),
        (shorter, "test.csv has changed since it was written"),
        (swapped, "test.csv has changed since it was written"),
        (lambda d: edit(d / "config.json", lambda c: c.update(normalize="dataset")), "config.json has changed"),
        (lambda d: (d / "classifier" / SUMS).write_text(""), "classifier/SHA256SUMS has changed"),
        (lambda d: (d / "metrics.jsonl").write_text(""), "metrics.jsonl has changed"),
        (lambda d: (d / "predictions" / "train.csv").unlink(), "train.csv is missing"),
    ],
)
def test_every_reader_refuses_another_file_than_was_written(run_dir, damage, message):
    read_runs([run_dir], None)
    damage(run_dir)
    with pytest.raises(UserError, match=rf"{message}.*; restore it, or give the command that trained it again"):
        read_runs([run_dir], None)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", r"metrics.json is damaged \(Expected `object`, got `array`\); restore it"),
        ("{}", "metrics.json is no metrics.json of any release"),
        ('{"schema": 1}', "metrics.json is no metrics.json of any release"),
    ],
)
def test_metrics_of_another_shape_are_refused_without_digests_too(run_dir, text, message):
    (run_dir / SUMS).unlink()
    (run_dir / "metrics.json").write_text(text)
    with pytest.raises(UserError, match=message):
        read_runs([run_dir], None)


def test_a_value_of_another_type_is_named(run_dir):
    (run_dir / SUMS).unlink()
    edit(run_dir / "metrics.json", lambda m: m.update(leaky="no"))
    with pytest.raises(UserError, match=r"metrics.json is damaged \(Expected `bool \| null`, got `str`"):
        read_runs([run_dir], None)


def again(run_dir, data_dir, **changes):
    return run_experiment(
        dataclasses.replace(CONFIG, data_dir=str(data_dir), run_dir=str(run_dir), **changes), report=False
    )


@pytest.mark.parametrize(
    ("damage", "changes", "message"),
    [
        (lambda d: None, {"epochs": 1}, r"epochs=1 is 16 steps|has already done"),
        (lambda d: None, {"seed": 5}, "holds a run with another config"),
        (
            lambda d: (d / "environment.json").unlink(),
            {},
            "environment.json is missing, so it is not known what",
        ),
        (
            lambda d: (d / "config.json").unlink(),
            {"seed": 5},
            "config.json is missing, so it is not known what",
        ),
        (
            lambda d: edit(d / "config.json", lambda c: c.update(seed=5)),
            {"seed": 5},
            "config.json has changed",
        ),
        (lambda d: (d / "config.json").write_text("3"), {}, r"config.json is damaged \(Expected `object`, got `int`\)"),
        (
            lambda d: (d / "metrics.jsonl").write_text("{}\n" + (d / "metrics.jsonl").read_text()),
            {"epochs": 3},
            "metrics.jsonl has changed since it was written",
        ),
    ],
)
def test_a_refused_run_changes_nothing(run_dir, data_dir, damage, changes, message):
    damage(run_dir)
    before = everything(run_dir)
    with pytest.raises(UserError, match=message):
        again(run_dir, data_dir, **changes)
    assert everything(run_dir) == before


def test_a_checkpoint_of_another_run_is_not_gone_on_from(run_dir, data_dir):
    """Even where config.json and its digest say otherwise."""
    shutil.rmtree(run_dir / "checkpoints")
    shutil.copytree(run_dir.parent / "seed1" / "checkpoints", run_dir / "checkpoints")
    with pytest.raises(UserError, match=r"the checkpoint of step \d+ in .* is another run's \(of another config, data"):
        again(run_dir, data_dir, epochs=3)


def test_a_line_that_a_kill_has_torn_is_dropped_and_any_other_is_not(run_dir, data_dir):
    lines = (run_dir / "metrics.jsonl").read_text()
    sums = "".join(f"# unfinished: {name}\n" for name in everything(run_dir) if name != SUMS)
    (run_dir / SUMS).write_text("# mole_jax run\n" + sums)
    (run_dir / "metrics.jsonl").write_text(lines + '{"step": 1')
    again(run_dir, data_dir)
    assert (run_dir / "metrics.jsonl").read_text() == lines
    (run_dir / SUMS).write_text("# mole_jax run\n" + sums)
    (run_dir / "metrics.jsonl").write_text(lines.replace("{", "[", 1))
    with pytest.raises(UserError, match=r"metrics.jsonl is damaged \(line 1: .*\); restore it, or train"):
        again(run_dir, data_dir)


def test_a_folder_of_somebody_else_is_not_a_place_for_a_run(tmp_path, data_dir):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "metrics.json").write_text("mine")
    with pytest.raises(UserError, match=r"mine' holds files and no mark of mole_jax .* give another --run_dir"):
        again(tmp_path / "mine", data_dir)
    assert everything(tmp_path / "mine") == {"metrics.json": b"mine"}
    with pytest.raises(UserError, match="no mark of mole_jax"):
        hold(tmp_path / "mine").__enter__()


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("config.json", r"config.json is no name of a page; give one that ends in .html"),
        ("mine.html", r"mine.html is there and is no page of mole_jax: it is not replaced; give another --out"),
        ("classifier", r"classifier is no name of a page|is a folder"),
    ],
)
def test_a_page_replaces_nothing_but_a_page(run_dir, name, message):
    (run_dir / "mine.html").write_text("<html>mine")
    before = everything(run_dir)
    with pytest.raises(UserError, match=message):
        write_report([run_dir], run_dir / name)
    assert everything(run_dir) == before


def test_figures_of_the_user_stay(run_dir):
    (run_dir / "figures").mkdir()
    (run_dir / "figures" / "results.csv").write_text("mine")
    before = everything(run_dir)
    with pytest.raises(UserError, match=r"figures/results.csv is there and was not written by this command"):
        write_report([run_dir], run_dir / "report.html")
    assert everything(run_dir) == before
    (run_dir / "figures" / "results.csv").rename(run_dir / "figures" / "mine.csv")
    write_report([run_dir], run_dir / "report.html")
    write_report([run_dir], run_dir / "report.html")
    assert (run_dir / "figures" / "mine.csv").read_text() == "mine"
