"""Jobs in child processes: their output, their end, what they may use, and that none outlives its parent."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mole_jax.executors.base import Ended, Job, last_words
from mole_jax.executors.devices import Share, count_accelerators, shares
from mole_jax.executors.local import LocalExecutor

ROOT = Path(__file__).parents[2]
WAITS = "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(75)); print('up', flush=True); time.sleep(60)"


def job(folder, code, name="a"):
    return Job(name, ("-c", code), folder, Path("logs") / f"{name}.log")


def ends(executor):
    return executor.wait(60)


def until(condition):
    while not condition():
        time.sleep(0.02)


def test_it_tells_how_jobs_end_and_keeps_what_they_print(tmp_path):
    executor = LocalExecutor([Share({"GREETING": "hello"}), Share()])
    code = (
        "import os, sys; print(os.environ.get('GREETING')); print('error: no such thing', file=sys.stderr); sys.exit(2)"
    )
    executor.start(job(tmp_path, code))
    executor.start(job(tmp_path, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)", "b"))
    found = sorted([*ends(executor), *([] if not executor._running else ends(executor))], key=lambda each: each.name)
    assert found == [Ended("a", 2, "error: no such thing"), Ended("b", -9, "")]
    assert found[0].explained and not found[1].explained
    assert (tmp_path / "logs/a.log").read_text() == "hello\nerror: no such thing\n" or "error" in last_words(
        tmp_path / "logs/a.log"
    )
    executor.start(job(tmp_path, "print('more')"))
    assert ends(executor) == [Ended("a", 0, "more")]
    assert (tmp_path / "logs/a.log").read_text().endswith("more\n")


def test_last_words_of_a_fault_are_its_exception(tmp_path):
    log = tmp_path / "log"
    log.write_text("error: of a library\nTraceback (most recent call last):\nValueError: x\n")
    assert last_words(log) == "ValueError: x"
    assert last_words(tmp_path / "none") == ""


@pytest.mark.parametrize("how", ["stop", "close"])
def test_what_runs_is_asked_to_save(tmp_path, how):
    executor = LocalExecutor([Share()])
    executor.start(job(tmp_path, WAITS))
    until(lambda: (tmp_path / "logs/a.log").read_text())
    child = executor._running["a"][0]
    if how == "stop":
        executor.stop("a")
        assert ends(executor) == [Ended("a", 75, "up")]
    executor.close()
    assert child.returncode == 75


@pytest.mark.skipif(sys.platform != "linux", reason="Linux alone tells a child that its parent has died")
def test_no_child_outlives_its_parent(tmp_path):
    code = (
        "import sys; from pathlib import Path; from mole_jax.executors.base import Job;"
        "from mole_jax.executors.devices import Share; from mole_jax.executors.local import LocalExecutor;"
        f"e = LocalExecutor([Share()]); e.start(Job('a', ('-c', {WAITS!r}), Path(sys.argv[1]), Path('log')));"
        "print(e._running['a'][0].pid, flush=True); e.wait(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    child = int(parent.stdout.readline())
    until(lambda: (tmp_path / "log").read_text())
    parent.kill()
    parent.communicate()

    def gone():
        try:
            return Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
        except (FileNotFoundError, ProcessLookupError):
            return True

    until(gone)


@pytest.mark.skipif(not hasattr(os, "sched_getaffinity"), reason="this system does not bind processes to cores")
def test_a_share_of_the_cores_is_all_that_a_job_sees(tmp_path):
    core = min(os.sched_getaffinity(0))
    executor = LocalExecutor([Share(cores=frozenset({core}))])
    executor.start(job(tmp_path, "import os; print(os.sched_getaffinity(0))"))
    assert ends(executor) == [Ended("a", 0, f"{{{core}}}")]


def test_cores_and_devices_are_shared_out(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    assert shares(1, "", 0) == [Share()]
    assert [sorted(share.cores) for share in shares(2, "", 0)] == [[0, 2, 4], [1, 3, 5]]
    gpus = [share.environment for share in shares(3, "gpu", 2)]
    assert [each["CUDA_VISIBLE_DEVICES"] for each in gpus] == ["0", "1", "0"]
    assert gpus[0]["XLA_PYTHON_CLIENT_MEM_FRACTION"] == "0.450"
    assert "XLA_PYTHON_CLIENT_MEM_FRACTION" not in shares(2, "gpu", 2)[0].environment
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,7")
    assert [share.environment["CUDA_VISIBLE_DEVICES"] for share in shares(2, "gpu", 2)] == ["4", "7"]
    assert shares(4, "tpu", 4)[3].environment["TPU_VISIBLE_CHIPS"] == "3"


def test_accelerators_are_counted_without_jax(tmp_path, monkeypatch):
    monkeypatch.delenv("JAX_PLATFORMS", raising=False)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert count_accelerators(tmp_path) == ("", 0)
    for i in range(3):
        (tmp_path / f"proc/driver/nvidia/gpus/0000:{i}").mkdir(parents=True)
    assert count_accelerators(tmp_path) == ("gpu", 3)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert count_accelerators(tmp_path) == ("gpu", 1)
    (tmp_path / "dev").mkdir()
    (tmp_path / "dev/accel0").touch()
    assert count_accelerators(tmp_path) == ("tpu", 1)
    monkeypatch.setenv("JAX_PLATFORMS", "cpu")
    assert count_accelerators(tmp_path) == ("", 0)
    assert signal.SIGTERM == 15
