"""The command that runs an experiment: killed at a random moment it goes on bit for bit, and it writes the whole run
directory.
"""

import json
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mole_jax.data.prepare.prepare import prepare
from mole_jax.runs.directory import hold
from tests.commands import command

ROOT = Path(__file__).parents[2]
FLAGS = [
    "--model=cnn",
    "--batch_size=4",
    "--epochs=2",
    "--bn_momentum=0.9",
    "--checkpoint_every=2",
    "--augment=dihedral",
]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare("synthetic", examples=50, data_dir=folder, workers=1)
    return folder


def start(data_dir, run_dir, *flags):
    command = [sys.executable, "-m", "experiments.run", f"--data_dir={data_dir}", f"--run_dir={run_dir}", *flags]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def run(data_dir, run_dir, *flags):
    return command("run", f"--data_dir={data_dir}", f"--run_dir={run_dir}", *flags)


def finish(data_dir, run_dir, *flags):
    done = run(data_dir, run_dir, *flags)
    assert done.returncode == 0, done.stderr
    return done.stdout


def steps(run_dir):
    path = run_dir / "metrics.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in rows]


QUICK = ["--model=logistic", "--learning_rate=1e-4", "--batch_size=4", "--epochs=2"]


@pytest.fixture(scope="module")
def quick(data_dir, tmp_path_factory):
    """A finished run that takes next to nothing."""
    run_dir = tmp_path_factory.mktemp("quick")
    finish(data_dir, run_dir, *QUICK)
    return run_dir


@pytest.fixture(scope="module")
def whole(data_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("whole")
    return run_dir, finish(data_dir, run_dir, *FLAGS)


@pytest.mark.slow
def test_the_run_directory_is_whole(whole):
    run_dir, out = whole
    for name in ("config.json", "environment.json", "metrics.jsonl", "metrics.json", "checkpoints"):
        assert (run_dir / name).exists(), name
    assert {path.name for path in (run_dir / "predictions").iterdir()} == {"train.csv", "validation.csv", "test.csv"}
    metrics = json.loads((run_dir / "metrics.json").read_text())
    assert metrics["splits"]["test"]["auroc"]["value"] is not None
    assert f"{metrics['splits']['test']['auroc']['value']:.3f}" in out
    assert str(run_dir) in out
    assert "% of the time in steps: " in out
    epochs = [line for line in out.splitlines() if line.startswith("epoch ")]
    pattern = (
        r"epoch 2 of 2: loss [\d.]+, validation loss [\d.]+, validation AUROC [\d.]+ \(best [\d.]+, epoch \d\), "
        r"\d+ images/s, \d+ s left"
    )
    assert len(epochs) == 2 and re.fullmatch(pattern, epochs[1])
    assert [line[20:] for line in (run_dir / "train.log").read_text().splitlines()] == epochs
    assert f"score photographs: python -m experiments.predict --run={run_dir} --images=FOLDER" in out
    assert out.rstrip().endswith("not a medical device: it says nothing about anybody's skin.")


def test_without_a_page_nothing_that_draws_is_loaded(data_dir, tmp_path):
    flags = [*QUICK, f"--data_dir={data_dir}", f"--run_dir={tmp_path / 'run'}", "--noreport"]
    program = f"""
import runpy, sys
sys.argv[1:] = {flags}
try:
    runpy.run_module("experiments.run", run_name="__main__", alter_sys=True)
finally:
    print(sorted({{"matplotlib", "jinja2"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith("\n[]\n")
    assert (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "report.html").exists()


def test_a_refused_command_leaves_the_finished_run_as_it_was(quick, data_dir):
    run_dir = quick
    before = {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()}
    done = run(data_dir, run_dir, *[flag for flag in QUICK if "epochs" not in flag], "--epochs=1")
    assert done.returncode == 2
    assert "has already done 16: give at least --epochs=2 or another --run_dir" in done.stderr
    assert {path: path.read_bytes() for path in run_dir.rglob("*") if path.is_file()} == before


def test_a_config_of_a_run_is_a_command(quick, data_dir, tmp_path):
    out = finish(data_dir, tmp_path, f"--config={quick / 'config.json'}")
    assert (tmp_path / "predictions/test.csv").read_bytes() == (quick / "predictions/test.csv").read_bytes()
    assert str(tmp_path) in out


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopped_by_a_signal_it_says_how_to_go_on(data_dir, tmp_path, number):
    flags = [*[flag for flag in QUICK if "epochs" not in flag], "--epochs=40"]
    process = start(data_dir, tmp_path, *flags)
    log = tmp_path / "metrics.jsonl"
    while process.poll() is None and (not log.exists() or not log.read_text()):
        time.sleep(0.02)
    process.send_signal(number)
    _, error = process.communicate()
    assert process.returncode == 75
    assert re.search(r"saved at step \d+ of 320; the same command goes on from there", error)
    assert "Traceback" not in error
    assert re.search(r"goes on at step \d+ of 320 \(epoch [\d.]+\)", finish(data_dir, tmp_path, *flags))


def test_help_shows_what_a_flag_will_be_for_the_model():
    paper = command("run", "--help", "--model=transfer").stdout
    assert "passes over the training split (transfer, paper recipe: 5)" in paper
    assert "(default: 100)" in paper
    tuned = command("run", "--help", "--model=transfer", "--recipe=tuned").stdout
    assert "passes over the training split (transfer, tuned recipe: 1)" in tuned


def test_a_model_without_that_recipe_is_told_so(data_dir, tmp_path):
    done = run(data_dir, tmp_path, "--model=cnn_released", "--recipe=tuned")
    assert done.stderr == "error: there is no recipe 'tuned' for model=cnn_released; give --recipe=paper\n"
    assert done.returncode == 2


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_a_random_moment_it_goes_on_bit_for_bit(whole, data_dir, tmp_path, seed):
    choose = random.Random(seed)
    log = tmp_path / "metrics.jsonl"
    process = start(data_dir, tmp_path, *FLAGS)
    lines = choose.randint(1, 14)
    while process.poll() is None and (not log.exists() or log.read_text().count("\n") < lines):
        time.sleep(0.02)
    time.sleep(choose.uniform(0, 0.5))
    process.kill()
    process.communicate()
    assert not (tmp_path / "metrics.json").exists()
    finish(data_dir, tmp_path, *FLAGS)
    unbroken = whole[0]
    for name in ("metrics.json", "predictions/train.csv", "predictions/validation.csv", "predictions/test.csv"):
        assert (tmp_path / name).read_bytes() == (unbroken / name).read_bytes(), name
    assert steps(tmp_path) == steps(unbroken)


def test_a_second_run_in_one_directory_is_refused(data_dir, tmp_path):
    with hold(tmp_path):
        done = run(data_dir, tmp_path, "--model=logistic")
        assert done.stderr.startswith(f"error: another process is training in {tmp_path}; wait for it")
        assert done.returncode == 2


def test_another_config_in_one_directory_is_refused(data_dir, whole):
    done = run(data_dir, whole[0], *FLAGS, "--learning_rate=0.5")
    assert "another config (learning_rate: 0.001 there, 0.5 now); use another --run_dir" in done.stderr
    assert done.returncode == 2


def test_a_loss_that_is_not_finite_is_a_fault_in_one_sentence(data_dir, tmp_path):
    with hold(tmp_path):
        (tmp_path / "metrics.json").touch()
    process = start(
        data_dir, tmp_path, "--model=logistic", "--learning_rate=1e38", "--loss_reduction=sum", "--batch_size=9"
    )
    error = process.communicate()[1]
    assert process.returncode == 1
    assert error.startswith("error: ") and "at step" in error, error
    assert not (tmp_path / "metrics.json").exists(), "the run is not finished"
