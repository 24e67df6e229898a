"""The sweep's command: trials are programs of their own, their table is printed, and a stop loses nothing."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mole_jax.data.prepare.prepare import prepare

ROOT = Path(__file__).parents[2]
COMMON = ("--model=logistic", "--learning_rate=1e-4")


def start(folder, *flags):
    command = [sys.executable, "-m", "experiments.sweep", *COMMON, *map(str, flags)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_a_grid_in_one_pass_and_alone_and_the_best_as_a_run_of_its_own(tmp_path):
    prepare("synthetic", examples=50, data_dir=tmp_path, workers=1)
    sweep = tmp_path / "sweep"
    flags = (f"--data_dir={tmp_path}", f"--run_dir={sweep}", "--epochs=1", "--loss_reduction=sum")
    process = start(tmp_path, *flags, "--grid=learning_rate=1e38,1e-5,1e-4 normalize=image,batch")
    out, error = process.communicate()
    assert process.returncode == 0, out + error
    assert out.count("diverged, ") == 2
    assert "starts: 3 logistic regressions in one pass (" in out
    assert "learning_rate=1e+38 normalize=batch" in out
    assert "test AUROC 0." in out and "interval over lesions" in out
    assert f"train it as a run of its own: python -m experiments.run --config={sweep}/best.json" in out
    assert (sweep / "sweep.csv").read_text().count("\n") == 7
    page = (sweep / "report.html").read_text()
    assert '<h2 id="best-title">Which is best on validation?</h2>' in page
    assert f"<span>--config={sweep}/best.json</span>" in page
    # Once more: all is skipped, and the best is trained.
    best = json.loads((sweep / "best.json").read_text())
    process = start(tmp_path, *flags, "--grid=learning_rate=1e38,1e-5,1e-4 normalize=image,batch", "--retrain_best")
    out, error = process.communicate()
    assert process.returncode == 0, out + error
    assert "starts: " not in out
    run = next(line for line in out.splitlines() if line.startswith("run directory ")).removeprefix("run directory ")
    config = json.loads((tmp_path / run / "config.json").read_text())
    assert config | {"run_dir": ""} == best


def test_two_ways_through_a_grid_are_refused(tmp_path):
    process = start(tmp_path, "--grid=l2=uniform(0,1)", "--random=2", "--tpe=2")
    assert process.communicate()[1] == "error: --random and --tpe are two ways through --grid: give one of them\n"
    assert process.returncode == 2


@pytest.mark.slow
def test_stopped_in_the_middle_it_saves_and_goes_on(tmp_path):
    prepare("synthetic", examples=50, data_dir=tmp_path, workers=1)
    sweep = tmp_path / "sweep"
    flags = (f"--data_dir={tmp_path}", f"--run_dir={sweep}", "--normalize=batch", "--batch_size=4", "--grid=seed=0,1")
    process = start(tmp_path, *flags, "--epochs=40", "--max_parallel=2")
    while process.poll() is None and not any(path.read_text() for path in sweep.glob("trials/*/metrics.jsonl")):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)
    out, error = process.communicate()
    assert process.returncode == 75, out + error
    assert error.endswith("stopped; the trials under way are saved, and the same command goes on from here\n")
    assert "Traceback" not in error
    assert not (sweep / "sweep.json").exists()
    logs = "".join(path.read_text() for path in sweep.glob("trials/*.log"))
    assert "the same command goes on from there" in logs
    process = start(tmp_path, *flags, "--epochs=40", "--max_parallel=2")
    out, error = process.communicate()
    assert process.returncode == 0, out + error
    assert "goes on at step" in "".join(path.read_text() for path in sweep.glob("trials/*.log"))
    assert out.count("\ndone, ") == 2
