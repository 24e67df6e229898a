"""The sweep's command: the grid is parsed with the fields' types, the table printed."""

import subprocess
import sys
from pathlib import Path

import pytest

from mole_jax.data.prepare.prepare import prepare

ROOT = Path(__file__).parents[2]


def run(*flags):
    command = [sys.executable, "-m", "experiments.sweep", *flags]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)


def test_a_grid_of_logistic_regressions(tmp_path):
    prepare("synthetic", examples=50, data_dir=tmp_path, workers=1)
    done = run(
        "--model=logistic",
        f"--data_dir={tmp_path}",
        f"--run_dir={tmp_path / 'sweep'}",
        "--epochs=2",
        "--grid=learning_rate=1e38,0.001 batch_size=10,20 loss_reduction=sum",
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("diverged: ") == 2
    assert "learning_rate=0.001 batch_size=20 loss_reduction=sum" in done.stdout
    assert "best validation accuracy  learning_rate=0.001" in done.stdout
    assert "train the winner as a run of its own: python -m experiments.run --model=logistic" in done.stdout
    assert (tmp_path / "sweep" / "sweep.csv").read_text().count("\n") == 5


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ("", "give --grid, for example"),
        ("learning_rate", "'learning_rate' in --grid: write each field once, as field=value,value"),
        ("seed=1 seed=2", "'seed=2' in --grid: write each field once, as field=value,value"),
        ("speed=1", "'speed' in --grid is not an option of a run; they are"),
        ("seed=0.5", "'seed=0.5' in --grid: seed takes values of type int"),
    ],
)
def test_a_grid_that_cannot_be_read_is_refused(grid, message):
    done = run("--model=logistic", f"--grid={grid}")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: {message}"), done.stderr
