"""The paper as one command: planned, started as processes of their own, skipped when done, stopped and resumed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mole_jax.config import RunConfig
from mole_jax.data.facts import read_facts
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.prepare.protocols import PROTOCOLS
from mole_jax.data.versions import dataset_directory
from mole_jax.errors import UserError
from mole_jax.report.tables import PAPER_MODELS
from mole_jax.studies.recipes import resolve
from mole_jax.studies.reproduction import SCALES, TUNED, describe_plan, estimate, plan_runs, state_of
from tests.commands import command

ROOT = Path(__file__).parents[2]


def given(folder, *flags):
    return "--scale=smoke", *flags, f"--data_dir={folder / 'data'}", f"--runs_dir={folder / 'runs'}"


def reproduce(folder, *flags):
    return command("reproduce", *given(folder, *flags))


def planned(folder, *, scale="short", protocols=("paper", "grouped"), models=tuple(PAPER_MODELS), weights=None):
    return plan_runs(
        "ham",
        scale=scale,
        protocols=protocols,
        models=models,
        weights=weights,
        data_dir=folder,
        runs_dir=folder / "runs",
    )


def test_the_plan_is_cheap_models_first_each_over_all_protocols(tmp_path):
    runs = planned(tmp_path)
    assert [run.protocol for run in runs[:2]] == ["paper", "grouped"]
    assert [run.config.dataset for run in runs[:2]] == ["ham_paper", "ham"]
    order = list(dict.fromkeys(run.variant.model for run in runs))
    assert order == ["logistic", "transfer", "cnn", "mlp", "cnn_released"]
    assert len({run.run_dir for run in runs}) == len(runs)
    for scale, variants in SCALES.items():
        assert {variant.model for variant in variants} == set(PAPER_MODELS), scale
        assert len({variant.label for variant in variants}) == len(variants)
    full = {run.variant.label: run.config for run in planned(tmp_path, scale="full")}
    assert [full[model].epochs for model in ("logistic", "mlp", "cnn", "cnn_released", "transfer")] == [
        10,
        20,
        20,
        20,
        5,
    ]


def test_weights_are_for_transfer_alone(tmp_path):
    papers = [run for run in planned(tmp_path, weights="file.safetensors") if run.variant.recipe == "paper"]
    runs = {run.variant.model: run for run in papers}
    assert runs["transfer"].config.weights == "file.safetensors"
    assert "--weights=file.safetensors" in runs["transfer"].flags
    assert not any(flag.startswith("--weights") for flag in runs["cnn"].flags)


def test_tuned_recipes_are_run_on_honest_data_alone(tmp_path):
    tuned = [run for run in planned(tmp_path, weights="file.safetensors") if run.variant.recipe == "tuned"]
    assert [(run.variant.label, run.protocol) for run in tuned] == [
        (f"{model}, tuned", "grouped") for model in ("logistic", "cnn", "transfer")
    ]
    assert {"--recipe=tuned", "--seeds=1"} <= set(tuned[-1].flags)
    assert tuned[-1].config.weights == "auto"  # the file is of another network
    assert tuned[-1].config.chosen == resolve({"model": "transfer", "dataset": "ham"}, "tuned").chosen
    (drawn,) = (run for run in planned(tmp_path, models=("transfer",), weights="random") if run.variant in TUNED)
    assert drawn.config.weights == "random" and "--weights=random" in drawn.flags
    assert not any(run.variant in TUNED for run in planned(tmp_path, protocols=("paper", "paper_by_lesion")))


def test_the_state_of_a_run_is_read_from_its_directory(tmp_path):
    facts = prepare("synthetic", examples=20, data_dir=tmp_path, workers=1).facts
    run, _ = planned(tmp_path, models=("cnn",), protocols=("grouped",))
    assert state_of(run, facts) == "to do"
    run.run_dir.mkdir(parents=True)
    environment = run.run_dir / "environment.json"
    environment.write_text(json.dumps({"dataset_fingerprint": facts.fingerprint}))
    (run.run_dir / "config.json").write_text(json.dumps(run.config.to_dict()))
    assert state_of(run, facts) == "begun"
    (run.run_dir / "metrics.json").touch()
    assert state_of(run, facts) == "done"
    longer = run.config.to_dict() | {"epochs": run.config.epochs + 1}
    (run.run_dir / "config.json").write_text(json.dumps(longer))
    assert state_of(run, facts) == "done"
    (run.run_dir / "config.json").write_text(json.dumps(longer | {"epochs": 0}))
    assert state_of(run, facts) == "begun"
    (tuned,) = (run for run in planned(tmp_path, models=("transfer",), protocols=("grouped",)) if run.variant in TUNED)
    tuned.run_dir.mkdir()
    for name in ("environment.json", "metrics.json"):
        (tuned.run_dir / name).write_text(json.dumps({"dataset_fingerprint": facts.fingerprint}))
    (tuned.run_dir / "config.json").write_text(json.dumps(tuned.config.to_dict() | {"finetune_epochs": 1}))
    assert state_of(tuned, facts) == "begun"  # of 24 epochs of fine-tuning
    environment.write_text(json.dumps({"dataset_fingerprint": "0" * 64}))
    with pytest.raises(UserError, match=r"holds a run on another dataset 'synthetic' .* move it away, or give another"):
        state_of(run, facts)


def test_hours_add_up(tmp_path):
    facts = prepare("synthetic", examples=20, data_dir=tmp_path, workers=1).facts
    runs = {run.variant.label: run for run in planned(tmp_path, protocols=("grouped",))}
    logistic, grid, transfer = (runs[label] for label in ("logistic", "logistic, grid", "transfer, pooled head"))
    # 20 s to start; 10 epochs of 11 training and 5 validation images, 20 predictions.
    assert estimate(logistic, facts, unseen=0) == pytest.approx(20 + 10 * (11 * 0.0003 + 5 * 0.0003) + 20 * 0.0003)
    assert estimate(grid, facts, unseen=0) == pytest.approx(2.5 * 0.054)
    tuned = runs["transfer, tuned"]  # 25 epochs on the images, nothing stored
    assert estimate(tuned, facts, unseen=9) == pytest.approx(20 + 25 * (11 * 0.027 + 5 * 0.013) + 20 * 0.013)
    assert estimate(transfer, facts, unseen=9) - estimate(transfer, facts, unseen=0) == pytest.approx(9 * 0.026)
    *_, last = describe_plan([logistic, transfer, transfer], ["to do", "done", "to do"], [7200.0, 0.0, None])
    assert last.startswith(
        "3 runs, 1 done, 2 to go: roughly 2.0 h on 2 cores, and 1 on datasets that are not prepared yet;"
    )


@pytest.fixture(scope="module")
def reproduced(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reproduced")
    return folder, reproduce(folder, "--models=logistic", "--protocols=paper,grouped")


def test_datasets_are_prepared_runs_started_and_one_page_written(reproduced):
    folder, ran = reproduced
    assert ran.returncode == 0, ran.stderr
    assert "5 runs, 0 done, 5 to go" in ran.stdout
    assert "ours, paper (leaky)" in ran.stdout and "ours, grouped" in ran.stdout
    out = folder / "runs" / "reproduction-synthetic-smoke"
    assert {path.name for path in out.iterdir()} >= {"report.html", "reproduction.json", "reproduction.md", "logs"}
    lines = json.loads((out / "reproduction.json").read_text())["lines"]
    assert [(line["model"], line["source"]) for line in lines] == [
        *(("logistic, smoke", source) for source in ("printed", "corrected", "paper", "grouped")),
        *(("logistic, tuned, smoke", source) for source in ("printed", "corrected", "grouped")),
    ]
    ours = [line for line in lines if line["source"] in PROTOCOLS]
    runs = plan_runs(
        "synthetic",
        scale="smoke",
        protocols=["paper", "grouped"],
        models=["logistic"],
        weights=None,
        data_dir=folder / "data",
        runs_dir=folder / "runs",
    )
    grids = [run.run_dir / "sweep.json" for run in runs if run.program == "sweep"]
    assert [json.loads(path.read_text())["leaky"] for path in grids] == [True, False]
    assert (out / "report.html").read_text().count("<h3>Learning rate and batch size, ") == 2
    for run, line in zip((run for run in runs if run.program == "run"), ours, strict=True):
        assert RunConfig.from_dict(json.loads((run.run_dir / "config.json").read_text())) == run.config
        metrics = json.loads((run.run_dir / "metrics.json").read_text())
        assert line["figures"]["auroc"] == metrics["splits"]["test"]["auroc"]
        assert metrics["leaky"] == PROTOCOLS[run.protocol].leaky


def test_what_is_done_is_skipped_and_what_is_missing_shown(reproduced):
    folder, _ = reproduced
    before = {path: path.stat().st_mtime_ns for path in (folder / "runs").glob("*/*.json")}
    again = reproduce(folder, "--models=logistic", "--protocols=paper,grouped")
    assert again.returncode == 0
    assert "5 runs, 5 done, 0 to go" in again.stdout
    rewritten = {folder / "runs" / "reproduction-synthetic-smoke" / "reproduction.json"}
    assert {path for path, time in before.items() if path.stat().st_mtime_ns != time} == rewritten
    plan = reproduce(folder, "--models=logistic,cnn", "--protocols=paper,paper_clean", "--plan")
    assert (plan.returncode, plan.stderr) == (0, "")
    assert "6 runs, 2 done, 4 to go" in plan.stdout
    assert "time not known yet" in plan.stdout
    assert not (folder / "data" / "synthetic_paper_clean").exists()
    only = reproduce(folder, "--models=logistic,cnn", "--protocols=paper,paper_clean", "--report_only")
    assert only.returncode == 0
    assert "ours, paper_clean: not run yet" in only.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--protocols=random"], "--protocols=random is not one of grouped, paper, paper_by_lesion, paper_clean"),
        (["--models=resnet"], "--models=resnet is not one of logistic, mlp, cnn, cnn_released, transfer"),
        (["--models="], "no runs are planned; give --protocols and --models"),
        (["--dataset=ham"], "dataset 'ham_paper' needs a source; give --source=DIR"),
        (["--scale=tiny"], "value should be one of <smoke|short|full>"),
    ],
)
def test_a_users_mistake_is_one_sentence_and_status_2(tmp_path, flags, message):
    ran = reproduce(tmp_path, *flags)
    assert ran.returncode == 2
    assert message in ran.stderr
    assert ran.stderr.count("\n") == 1


def test_a_dataset_of_another_protocol_is_refused(tmp_path):
    prepare("synthetic_paper", layout="synthetic", examples=20, data_dir=tmp_path / "data", workers=1)
    ran = reproduce(tmp_path, "--models=logistic", "--protocols=paper")
    assert ran.returncode == 2
    assert "'synthetic_paper' was prepared with protocol grouped, not paper; prepare it again" in ran.stderr


@pytest.mark.slow
def test_sigterm_is_passed_on(tmp_path):
    prepare("synthetic", examples=20, data_dir=tmp_path / "data", workers=1)
    flags = [
        *("--model=logistic", "--epochs=1000000", "--noreport"),
        *(f"--data_dir={tmp_path / 'data'}", f"--run_dir={tmp_path / 'run'}"),
    ]
    program = f"""
import sys
from pathlib import Path
from experiments.reproduce import _run
sys.exit(_run("run", {flags}, Path({str(tmp_path / "log")!r})))
"""
    process = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    metrics = tmp_path / "run" / "metrics.jsonl"
    while not (metrics.exists() and metrics.read_text()):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 75
    assert "saved at step " in (tmp_path / "log").read_text()


@pytest.mark.slow
def test_stopped_by_sigterm_the_same_command_goes_on(tmp_path):
    flags = ("--models=cnn", "--protocols=grouped")
    process = subprocess.Popen(
        [sys.executable, "-m", "experiments.reproduce", *given(tmp_path, *flags)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    while not list((tmp_path / "runs").glob("cnn-*/metrics.jsonl")):
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate()
    assert process.returncode == 75, err
    assert "the same command goes on from here" in err
    assert reproduce(tmp_path, *flags).returncode == 0
    facts = read_facts(dataset_directory(tmp_path / "data", "synthetic"))
    (metrics,) = (tmp_path / "runs").glob("cnn-*/metrics.json")
    assert json.loads(metrics.read_text())["splits"]["test"]["images"] == sum(facts.counts["test"])


@pytest.mark.slow
def test_a_run_that_fails_does_not_stop_the_others(tmp_path):
    prepare("synthetic", examples=20, data_dir=tmp_path / "data", workers=1)
    broken = plan_runs(
        "synthetic",
        scale="smoke",
        protocols=["grouped"],
        models=["logistic"],
        weights=None,
        data_dir=tmp_path / "data",
        runs_dir=tmp_path / "runs",
    )[0].run_dir
    broken.parent.mkdir()
    broken.touch()  # a file where the directory should be
    ran = reproduce(tmp_path, "--models=logistic,cnn", "--protocols=grouped")
    assert ran.returncode == 1
    assert "failed with exit status 2; going on with the next" in ran.stderr
    assert "ours, grouped: it failed with exit status 2: see " in ran.stdout
    assert list((tmp_path / "runs").glob("cnn-*/metrics.json"))


def test_a_sweep_of_another_grid_is_not_taken_for_the_plans_own(tmp_path):
    plan = plan_runs(
        "synthetic",
        scale="smoke",
        protocols=["grouped"],
        models=["logistic"],
        weights=None,
        data_dir=tmp_path / "data",
        runs_dir=tmp_path / "runs",
    )
    (grid,) = (run for run in plan if run.program == "sweep")
    grid.run_dir.mkdir(parents=True)
    (grid.run_dir / "sweep.json").write_text(json.dumps({"dataset_fingerprint": "x", "varied": ["seed"]}))
    with pytest.raises(UserError, match=r"holds another sweep \(over seed\); move it away, or give another --runs_dir"):
        state_of(grid, None)
