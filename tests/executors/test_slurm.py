"""The Slurm executor against a Slurm of three shell scripts that runs jobs at once."""

import os
import sys
import time
from pathlib import Path

import pytest

from mole_jax.errors import UserError
from mole_jax.executors import on_slurm
from mole_jax.executors.base import Ended, Job
from mole_jax.executors.on_slurm import SlurmExecutor

COUNTING = Path(__file__).with_name("counting.py")
SBATCH = """#!/bin/bash
echo "$@" >> "$SLURM/asked"
for word in "$@"; do
  case $word in --output=*) log=${word#--output=};; --nope) echo "no such option" >&2; exit 1;; esac
done
script=$(mktemp "$SLURM/job.XXXX"); cat > $script
setsid bash $script >> $log 2>&1 & echo $! > $script.pid
echo "$!;cluster"
"""
SQUEUE = """#!/bin/bash
for file in "$SLURM"/*.pid; do p=$(cat "$file"); kill -0 $p 2> /dev/null && echo $p; done; exit 0
"""
SCANCEL = """#!/bin/bash
echo "$@" >> "$SLURM/cancelled"
[ "$1" = --batch ] && kill -TERM "$3"; exit 0
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    folder = tmp_path / "slurm"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE), ("scancel", SCANCEL)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("SLURM", str(folder))
    monkeypatch.setattr(on_slurm, "LOOK", 0.05)
    return folder


def counting(folder, name="a", *, end=3):
    arguments = (str(COUNTING), str(folder / f"{name}.count"), str(end), "0.02")
    return Job(name, arguments, folder, Path("trials") / f"{name}.log")


def test_jobs_end_with_their_own_status(slurm, tmp_path):
    executor = SlurmExecutor(["--partition=gpu"], sys.executable)
    executor.start(counting(tmp_path))
    refused = Job("b", ("-c", "print('error: it\\'s no'); raise SystemExit(2)"), tmp_path, Path("trials/b.log"))
    executor.start(refused)
    found = []
    while len(found) < 2:
        found += executor.wait(10)
    assert sorted(found, key=lambda each: each.name) == [Ended("a", 0, "counted"), Ended("b", 2, "error: it's no")]
    asked = (slurm / "asked").read_text()
    assert "--partition=gpu" in asked and "--requeue --signal=B:TERM@120" in asked and "--job-name=a" in asked


def test_what_runs_is_asked_to_save_and_what_is_lost_is_known(slurm, tmp_path):
    executor = SlurmExecutor(python=sys.executable)
    executor.start(counting(tmp_path, end=100_000))
    while not (tmp_path / "a.count").exists():
        time.sleep(0.02)
    executor.stop("a")
    assert executor.wait(60) == [Ended("a", 75, "goes on at 0")]
    executor.start(Job("b", ("-c", "import os; os.kill(os.getppid(), 9)"), tmp_path, Path("trials/b.log")))
    assert executor.wait(60) == [Ended("b", -9, "Slurm ended it")]
    executor.start(Job("c", ("-c", "import os; os.kill(os.getpid(), 9)"), tmp_path, Path("trials/c.log")))
    (ended,) = executor.wait(60)
    assert ended.status == -9
    executor.start(counting(tmp_path, "d", end=100_000))
    while not (tmp_path / "d.count").exists():
        time.sleep(0.02)
    executor.close()
    assert (tmp_path / "trials/d.status").read_text() == "75\n"
    assert "--state=PENDING" in (slurm / "cancelled").read_text()


def test_refusals(slurm, tmp_path, monkeypatch):
    with pytest.raises(UserError, match="Slurm refuses a: no such option; give other --slurm options"):
        SlurmExecutor(["--nope"], sys.executable).start(counting(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="--executor=slurm needs sbatch, which is not here: start the sweep on a login"):
        SlurmExecutor()
