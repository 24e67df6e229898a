"""Contestants take turns in processes of their own; one that is missing or breaks does not stop the others."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from benchmarks.harness import ROOT, WHOLE_JOB, Contestant, compete, run_once
from benchmarks.turn import PEAK_MEMORY

FAKES = "tests.benchmarks.fakes"


def counters(tmp_path, *names, **settings):
    log = str(tmp_path / "turns")
    return [Contestant(name, f"{FAKES}:counter", {"name": name, "log": log}, **settings) for name in names]


def turns(tmp_path):
    return [line.split() for line in (tmp_path / "turns").read_text().splitlines()]


def test_contestants_alternate_and_the_first_moves_on(tmp_path):
    outcome = compete(counters(tmp_path, "a", "b", "c"), rounds=2, warm_up=1, logs=tmp_path)
    assert [name for name, _ in turns(tmp_path)] == list("abc" + "bca" + "cab")
    # Of three turns the first, which warms up, does not count.
    assert {name: values["rate"] for name, values in outcome.values.items()} == {name: [2, 3] for name in "abc"}


def test_each_contestant_has_one_process(tmp_path):
    compete(counters(tmp_path, "a", "b"), rounds=2, logs=tmp_path)
    processes = {name: {pid for n, pid in turns(tmp_path) if n == name} for name in "ab"}
    assert len(processes["a"]) == len(processes["b"]) == 1
    assert not processes["a"] & processes["b"]


def test_a_fresh_contestant_starts_anew_each_turn(tmp_path):
    outcome = compete(counters(tmp_path, "a", fresh=True), rounds=3, warm_up=0, logs=tmp_path)
    assert len({pid for _, pid in turns(tmp_path)}) == 3
    values = outcome.values["a"]
    assert values["rate"] == [1, 1, 1]
    assert len(values[WHOLE_JOB]) == len(values[PEAK_MEMORY]) == 3
    assert all(0 < seconds < 60 for seconds in values[WHOLE_JOB])


def test_a_missing_peer_is_no_error(tmp_path):
    missing = Contestant("missing", f"{FAKES}:without_its_framework")
    elsewhere = Contestant("elsewhere", f"{FAKES}:elsewhere")
    outcome = compete([missing, elsewhere, *counters(tmp_path, "a")], rounds=1, logs=tmp_path)
    assert outcome.absent == {
        "missing": "torch is not installed",
        "elsewhere": "this peer sees no GPU",
    }
    assert not outcome.failed
    assert list(outcome.values) == ["a"]


def test_a_broken_contestant_is_an_error_and_the_others_go_on(tmp_path):
    broken = Contestant("broken", f"{FAKES}:with_a_broken_import")
    breaks = Contestant("breaks", f"{FAKES}:breaks_at_turn", {"number": 3})
    outcome = compete([broken, breaks, *counters(tmp_path, "a")], rounds=3, logs=tmp_path)
    assert outcome.failed["breaks"] == "ValueError: a stone in the shoe"
    assert "nothing_of_this_name" in outcome.failed["broken"]
    assert not outcome.absent
    assert list(outcome.values) == ["a"], "half-measured figures are thrown away"


def test_what_a_library_prints_does_not_disturb(tmp_path):
    outcome = compete([Contestant("chatty", f"{FAKES}:chatty")], rounds=2, logs=tmp_path)
    assert outcome.values["chatty"]["rate"] == [2, 2]
    assert "Epoch 1/5" in (tmp_path / "chatty.log").read_text()


def test_memory_is_the_childs_own(tmp_path):
    contestants = [Contestant(f"{size}", f"{FAKES}:hungry", {"megabytes": size}) for size in (1, 300)]
    outcome = compete(contestants, rounds=1, logs=tmp_path)
    (small,), (large,) = (outcome.values[name][PEAK_MEMORY] for name in ("1", "300"))
    assert 290 < large - small < 340


def test_each_contestant_has_its_environment(tmp_path):
    contestants = [Contestant(value, f"{FAKES}:flag", environment={"FLAG": value}) for value in ("1", "2")]
    outcome = compete(contestants, rounds=1, logs=tmp_path)
    assert {name: values["flag"] for name, values in outcome.values.items()} == {"1": [1], "2": [2]}


def test_an_input_that_cannot_be_written_stops_the_question(tmp_path):
    with pytest.raises(RuntimeError, match="a stone in the shoe"):
        run_once(f"{FAKES}:breaks_at_turn", logs=tmp_path, number=1)


def test_an_interrupted_run_leaves_nothing_behind(tmp_path):
    file = tmp_path / "processes"
    code = (
        "import signal, sys; from pathlib import Path; from benchmarks.harness import Contestant, compete;"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143));"
        f"compete([Contestant('endless', '{FAKES}:endless', {{'file': {str(file)!r}}})],"
        f" rounds=1, logs=Path({str(tmp_path)!r}))"
    )
    runner = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT)
    while not (file.exists() and len(file.read_text().split()) == 2):
        assert runner.poll() is None
        time.sleep(0.05)
    runner.terminate()
    assert runner.wait() == 143
    for process in file.read_text().split():
        state = Path(f"/proc/{process}/stat")
        assert not state.exists() or state.read_text().split()[2] == "Z"
