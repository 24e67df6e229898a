"""A sweep of programs that pretend to train: what is finished is skipped, what fails recorded, validation chooses."""

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.executors.base import Ended
from mole_jax.executors.devices import Share
from mole_jax.executors.local import LocalExecutor
from mole_jax.sweeps.directory import JOURNAL, SWEEP, TABLE, trial_dir
from mole_jax.sweeps.outcome import predictions
from mole_jax.sweeps.result import stored_result
from mole_jax.sweeps.space import parse_space
from mole_jax.sweeps.sweep import Plan, sweep
from mole_jax.sweeps.text import chosen_lines, table


def test_validation_chooses_and_test_images_are_looked_at_for_the_chosen_alone(run, tmp_path):
    result, started, told = run("l2=0,0.5,1", seeds=3)
    assert len(started) == 9
    assert [row.state for row in result.rows] == ["done"] * 3
    assert result.rows[result.chosen.row].changes == {"l2": 0.5}
    assert [config.seed for config in started] == [0, 1, 2] * 3
    row = result.rows[1]
    assert row.validation_auroc["low"] < row.validation_auroc["value"] < row.validation_auroc["high"]
    assert len(result.chosen.test) == 3
    assert result.chosen.config["l2"] == 0.5 and result.chosen.config["run_dir"] == ""
    text = (tmp_path / "sweep" / TABLE).read_text()
    assert "test" not in text.splitlines()[0]
    assert [line["state"] for line in csv.DictReader(text.splitlines())] == ["done"] * 3
    written = json.loads((tmp_path / "sweep" / SWEEP).read_text())
    assert not [name for row in written["configurations"] for name in row if "test" in name]
    of_test = [
        roc_auc_score(p.label, p.logit)
        for p in (predictions(trial_dir(tmp_path / "sweep", name), "test") for name in row.trials)
    ]
    assert [each["value"] for each in result.chosen.test] == pytest.approx(of_test)
    assert result.chosen.test_over_seeds["value"] == pytest.approx(np.mean(of_test))
    assert stored_result(tmp_path / "sweep") == result
    lines = "\n".join([*table(result), *chosen_lines(result)])
    assert "chosen by AUROC on validation:  l2=0.5" in lines
    assert "mean and interval over 3 seeds; each over lesions: " in lines
    assert told[0].startswith("starts: l2=0 (")


def test_what_is_finished_is_skipped_and_more_trials_go_on_from_fewer(run):
    first = run("l2=uniform(0,1)", how="random", count=3)[1]
    result, started, _ = run("l2=uniform(0,1)", how="random", count=5)
    assert len(first) == 3 and len(started) == 2
    assert len(result.rows) == 5
    assert run("l2=uniform(0,1)", how="random", count=5)[1] == []
    assert len(run("l2=uniform(0,1)", how="random", count=5, seeds=2)[1]) == 5


def test_what_fails_is_recorded_and_stops_nothing(run, tmp_path):
    fates = {
        0.1: [Ended("", 1, "error: train_loss is nan at step 3; lower --learning_rate")],
        0.2: [Ended("", -9, "Killed"), Ended("", -9, "Killed")],
        0.3: [Ended("", -9), Ended("", 0)],
        0.4: [Ended("", 2, "error: no such weights")],
        0.6: [Ended("", 0)],
    }
    result, started, told = run("l2=0.1,0.2,0.3,0.4,0.5", fates)
    states = {row.changes["l2"]: (row.state, row.error) for row in result.rows}
    assert states == {
        0.1: ("diverged", "train_loss is nan at step 3; lower --learning_rate"),
        0.2: ("failed", "killed by signal 9: Killed"),
        0.3: ("done", ""),
        0.4: ("failed", "exit status 2: no such weights"),
        0.5: ("done", ""),
    }
    assert len(started) == 7
    assert result.rows[result.chosen.row].changes == {"l2": 0.5}
    assert any(line.startswith("failed for now, 0 s: l2=0.2: killed by signal 9") for line in told)
    lines = [json.loads(line) for line in (tmp_path / "sweep" / JOURNAL).read_text().splitlines()]
    assert sum(line["state"] == "begun" for line in lines) == 7
    stored = {row["l2"]: row for row in json.loads((tmp_path / "sweep" / SWEEP).read_text())["configurations"]}
    assert stored[0.1]["diverged"].startswith("train_loss is nan") and stored[0.2]["diverged"] is None
    # Given again, it starts what has failed and leaves what has diverged.
    result, started, _ = run("l2=0.1,0.2,0.3,0.4,0.5")
    assert [config.l2 for config in started] == [0.2, 0.4]
    assert [row.state for row in result.rows] == ["diverged", "done", "done", "done", "done"]


def test_where_all_are_refused_for_one_reason_the_sweep_stops_and_says_it(run, tmp_path):
    fates = {l2: [Ended("", 2, "error: no such weights: x")] for l2 in (0.1, 0.2, 0.3, 0.4)}
    with pytest.raises(UserError, match=r"first 3 trials were all refused, so the sweep has stopped: error: no such w"):
        run("l2=0.1,0.2,0.3,0.4", fates, parallel=1)
    assert not (tmp_path / "sweep" / SWEEP).exists()


def test_a_torn_journal_goes_on_and_a_damaged_one_is_refused(run, tmp_path):
    run("l2=0.1,0.5")
    journal = tmp_path / "sweep" / JOURNAL
    whole = journal.read_text()
    journal.write_text(whole[:-5])
    assert run("l2=0.1,0.5")[1] == []
    assert journal.read_text() == whole.rsplit("\n", 2)[0] + "\n"
    journal.write_text("{}\n" + whole)
    with pytest.raises(UserError, match=r"trials.jsonl is damaged \(line 1: .*restore it, or remove it"):
        run("l2=0.1,0.5")


def test_two_sweeps_never_share_a_place(run, tmp_path):
    run("l2=0.1,0.5")
    before = (tmp_path / "sweep" / SWEEP).read_bytes()
    with pytest.raises(UserError, match=r"holds a sweep of other configurations \(over l2\); give another --run_dir"):
        run("l2=0.1,0.6")
    with pytest.raises(UserError, match="holds a sweep of other configurations"):
        run("l2=0.1,0.5", model="mlp")
    plan = tmp_path / "sweep" / "plan.json"
    plan.write_text(plan.read_text().replace('"dataset_fingerprint": "', '"dataset_fingerprint": "x'))
    with pytest.raises(UserError, match=r"the dataset 'synthetic' has changed since the sweep in .* began"):
        run("l2=0.1,0.5")
    assert (tmp_path / "sweep" / SWEEP).read_bytes() == before


def test_a_trial_that_has_changed_since_is_refused(run, tmp_path):
    result = run("l2=0.1,0.5")[0]
    trial = trial_dir(tmp_path / "sweep", result.rows[0].trials[0])
    (trial / "predictions/validation.csv").write_text("image_id,label,score\n")
    with pytest.raises(UserError, match="has changed since it was written"):
        run("l2=0.1,0.5")
    assert not (tmp_path / "sweep" / SWEEP).exists(), "a sweep that is not whole has no result"


def test_nothing_is_made_where_anything_is_wrong(run, tmp_path):
    with pytest.raises(UserError, match=r"l2=-1\.0 is too small"):
        run("l2=0.5,-1")
    with pytest.raises(UserError, match="absent"):
        sweep(
            Plan(parse_space("l2=0,1"), "grid", lambda c: RunConfig(dataset="absent", data_dir=str(tmp_path), **c)),
            tmp_path / "sweep",
            executor=LocalExecutor([Share()]),
            commands=lambda *_: (),
        )
    assert not (tmp_path / "sweep").exists()


def test_regressions_share_a_job_where_they_share_a_mesh(data_dir, tmp_path):
    jobs = []

    class Remembers(LocalExecutor):
        def start(self, job):
            jobs.append(job)
            super().start(job)

    def many(_, trials):
        return "-c", f"print({len(trials)})"

    space = parse_space("l2=0,0.1,0.2 normalize=image,batch mesh=auto,1")
    plan = Plan(space, "grid", lambda c: RunConfig(model="logistic", data_dir=str(data_dir), **c))
    result = sweep(plan, tmp_path / "sweep", executor=Remembers([Share()]), commands=many, retries=0)
    assert sorted(job.arguments[1] for job in jobs) == ["print(1)"] * 6 + ["print(3)"] * 2
    assert {row.error for row in result.rows} == {"its program ended and left no finished run"}
