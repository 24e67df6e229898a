"""Services get the numbers of a run too; what they do is no reason to stop it."""

import importlib.util
import logging
import sys

import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.runs import tracking
from mole_jax.runs.log import Log, read_steps
from mole_jax.runs.tracking import Sinks, parse_track, refuse_untrackable


def needs(package):
    absent = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(absent, reason=f"{package} is not installed: pip install 'mole-jax[{package}]'")


def test_names_are_read():
    assert parse_track("tensorboard, wandb") == ["tensorboard", "wandb"]
    assert parse_track("none") == []
    with pytest.raises(UserError, match=r"track='tensorbord': 'tensorbord' is not one of tensorboard, mlflow, wandb"):
        parse_track("tensorbord")


@pytest.mark.parametrize("name", ["mlflow", "wandb"])
def test_without_the_package_it_says_so_before_anything_starts(name, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(UserError, match=rf"--track={name} needs the package {name}, which is not installed: pip insta"):
        refuse_untrackable(f"tensorboard,{name}")


def test_none_leaves_no_event_files(tmp_path):
    with Log(tmp_path, RunConfig(track="none"), resume_step=0) as log:
        log.write(1, {"loss": 0.5})
    assert {path.name for path in tmp_path.iterdir()} == {"metrics.jsonl", "train.log"}


def test_a_service_that_fails_stops_nothing(tmp_path, monkeypatch, caplog):
    class Fails:
        name = "x"

        def __init__(self, *_):
            self.closed = False

        def write(self, step, values):
            raise ConnectionError(f"no way at {step}\nand more")

        def close(self):
            raise ConnectionError("gone")

    class NeverOpens(Fails):
        def __init__(self, *_):
            raise ConnectionError("not there")

    monkeypatch.setitem(tracking.SINKS, "mlflow", Fails)
    monkeypatch.setitem(tracking.SINKS, "wandb", NeverOpens)
    with (
        caplog.at_level(logging.WARNING),
        Log(tmp_path, RunConfig(track="mlflow,wandb"), resume_step=0) as log,
    ):
        log.write(1, {"loss": 0.5})
        log.write(2, {"loss": 0.25})
    assert [record.getMessage() for record in caplog.records] == [
        "wandb takes no more numbers of this run, which goes on (not there)",
        "mlflow takes no more numbers of this run, which goes on (no way at 1)",
    ]
    assert [line["loss"] for line in read_steps(tmp_path / "metrics.jsonl")] == [0.5, 0.25]


def track(run_dir, config, steps):
    sinks = Sinks(run_dir, config, min(steps) - 1)
    assert sinks.names == [config.track]
    for step in steps:
        sinks.write(step, {"validation_auroc": step / 10})
    sinks.close()


@needs("mlflow")
@pytest.mark.filterwarnings("ignore")
def test_mlflow_has_one_run_through_two_starts(tmp_path, monkeypatch):
    import mlflow

    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    config = RunConfig(track="mlflow", learning_rate=0.5)
    for steps in ([1, 2], [3]):
        track(tmp_path, config, steps)
    (run,) = mlflow.MlflowClient().search_runs([mlflow.get_experiment_by_name("mole_jax").experiment_id])
    assert run.data.params["learning_rate"] == "0.5"
    history = mlflow.MlflowClient().get_metric_history(run.info.run_id, "validation_auroc")
    assert [(each.step, each.value) for each in history] == [(1, 0.1), (2, 0.2), (3, 0.3)]
    assert run.info.status == "FINISHED"


@needs("wandb")
@pytest.mark.filterwarnings("ignore")
def test_wandb_keeps_an_offline_run_in_the_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    for steps in ([1, 2], [3]):
        track(tmp_path, RunConfig(track="wandb"), steps)
    names = [path.name for path in (tmp_path / "wandb").glob("offline-run-*")]
    assert len(names) == 2 and len({name.rpartition("-")[2] for name in names}) == 1, "the same id twice"
    assert all([*folder.glob("*.wandb")] for folder in (tmp_path / "wandb").glob("offline-run-*"))
