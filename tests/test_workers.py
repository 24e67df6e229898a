"""Work in other processes: in order, nothing lost to a job that kills its process, no script run twice."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from mole_jax import workers
from mole_jax.errors import UserError
from mole_jax.workers import in_workers, map_in_workers

ROOT = Path(__file__).parents[1]


def square(number):
    return number * number


def deadly(number):
    if number in (3, 7):
        os.kill(os.getpid(), 9)
    return number * number


def told(number):
    return f"{number} died"


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers):
    assert map_in_workers(square, range(5), total=5, workers=workers, desc="", name_of=str) == [0, 1, 4, 9, 16]
    assert list(in_workers(square, range(5), workers=workers, name_of=str, died=told)) == [0, 1, 4, 9, 16]


@pytest.mark.parametrize("workers", [1, 2])
def test_a_job_that_kills_its_process_is_told_apart_and_the_others_are_done(workers):
    done = map_in_workers(deadly, range(10), total=10, workers=workers, desc="", name_of=str, died=told)
    assert done == [0, 1, 4, "3 died", 16, 25, 36, "7 died", 64, 81]


def test_without_a_word_for_it_such_a_job_is_an_error():
    with pytest.raises(UserError, match=r"the process that works on '[37]' dies of it, alone too"):
        list(in_workers(deadly, range(10), workers=2, name_of=str))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_waits_until_the_processes_are_started(monkeypatch, number):
    started = []

    class Pool(ProcessPoolExecutor):
        def map(self, *arguments, **settings):
            os.kill(os.getpid(), number)  # may be handled in any thread of the process
            results = super().map(*arguments, **settings)
            started.extend(self._processes.values())
            return results

    def interrupt(number, frame):
        raise KeyboardInterrupt

    monkeypatch.setattr(workers, "ProcessPoolExecutor", Pool)
    helper = threading.Event()
    other = threading.Thread(target=helper.wait)
    other.start()
    before = signal.signal(number, interrupt)
    try:
        with pytest.raises(KeyboardInterrupt):
            list(in_workers(square, range(4), workers=2, name_of=str))
        assert signal.getsignal(number) is interrupt
    finally:
        signal.signal(number, before)
        helper.set()
        other.join()
    assert len(started) == 2
    assert [process.exitcode for process in started] == [0, 0], "they were waited for"


def test_a_script_without_a_guard_is_not_run_again_by_its_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        f"import sys; sys.path.insert(0, {str(ROOT)!r})\n"
        "from mole_jax.workers import in_workers\n"
        "print('begins')\n"
        "print(list(in_workers(abs, [-1, -2], workers=2, name_of=str, died=str)))\n"
        "print(__file__.endswith('script.py'))\n"
    )
    ran = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True)
    assert ran.stdout == "begins\n[1, 2]\nTrue\n"
