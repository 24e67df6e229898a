"""Joining other processes, and leaving them; real ones are in tests/training/test_processes.py."""

import subprocess
import sys
import threading
from pathlib import Path

import jax
import pytest

from mole_jax import processes
from mole_jax.errors import UserError
from mole_jax.processes import is_first, join, leaving_together, preempted, several, wait_for_all

ROOT = Path(__file__).parents[1]


def test_alone_there_is_nobody_to_wait_for():
    wait_for_all("nobody")
    assert (several(), is_first(), preempted(3)) == (False, True, False)


@pytest.mark.parametrize(("count", "index"), [(None, 0), (2, None), (2, 2)])
def test_flags_that_do_not_go_together_are_refused(count, index):
    message = (
        f"--coordinator=host:1 needs --processes=N and --process_id from 0 to N-1, and they are {count} and {index}"
    )
    with pytest.raises(UserError, match=message):
        join("host:1", count, index)


def test_processes_without_an_address_are_refused():
    command = [sys.executable, "-m", "experiments.run", "--model=logistic", "--processes=2", "--process_id=0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("error: --processes and --process_id need --coordinator=HOST:PORT, the address of")


def test_others_that_do_not_come_are_a_sentence(monkeypatch):
    def initialize(**_):
        raise RuntimeError("DEADLINE_EXCEEDED: barrier timed out\nmore")

    monkeypatch.setattr(jax.distributed, "initialize", initialize)
    with pytest.raises(UserError, match=r"did not come together \(DEADLINE_EXCEEDED: barrier timed out\); start all"):
        join("host:1", 2, 0)


class Left(BaseException):
    pass


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (
            ValueError("Gloo all-reduce failed: Connection reset\nby peer"),
            75,
            "process 0 of 1 stops: another one is gone",
        ),
        (UserError("no room left"), 2, "error: no room left\n"),
        (ZeroDivisionError("a fault"), 1, "ZeroDivisionError: a fault"),
        (KeyboardInterrupt(), 130, "interrupted; start all processes again, and they go on from the last checkpoint\n"),
    ],
)
def test_who_fails_among_others_leaves_at_once(error, status, words, monkeypatch, capsys):
    def leave(number):
        raise Left(number)

    monkeypatch.setattr(processes, "several", lambda: True)
    monkeypatch.setattr(processes.os, "_exit", leave)
    with pytest.raises(Left) as left, leaving_together(expected=()):
        raise error
    assert left.value.args == (status,)
    assert words in capsys.readouterr().err
    for timer in [thread for thread in threading.enumerate() if isinstance(thread, threading.Timer)]:
        timer.join(5)
        assert not timer.is_alive(), "it would end a process that has left already"


def test_what_all_raise_together_is_handed_on(monkeypatch):
    monkeypatch.setattr(processes, "several", lambda: True)
    with pytest.raises(OverflowError), leaving_together(expected=(OverflowError,)):
        raise OverflowError
