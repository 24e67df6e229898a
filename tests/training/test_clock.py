"""Every second of a run belongs to one part; a trace of a few steps can be asked for."""

import dataclasses
import json
import time

import pytest

from mole_jax.config import RunConfig
from mole_jax.training.clock import PARTS, Clock
from mole_jax.training.loop import train

CONFIG = RunConfig(model="logistic", optimizer="sgd", learning_rate=0.001, batch_size=7, epochs=2)


@pytest.fixture
def now(monkeypatch):
    """Time passes only when the test says so."""
    times = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: times[0])

    def later(seconds):
        times[0] += seconds

    return later


def test_each_second_goes_to_the_innermost_part(now):
    clock = Clock()
    now(1)
    with clock("step"):
        now(2)
        with clock("data"):
            now(4)
        now(8)
    assert clock.lap() == {
        f"seconds_{part}": {"other": 1.0, "step": 10.0, "data": 4.0}.get(part, 0.0) for part in PARTS
    }
    with clock("evaluation"):
        now(16)
    with pytest.raises(KeyError), clock("checkpoint"):
        now(32)
        raise KeyError
    now(1)
    assert clock.lap()["seconds_evaluation"] == 16.0
    summary = clock.summary()
    assert summary["seconds"] == 64.0
    assert summary["seconds_checkpoint"] == 32.0
    assert summary["goodput"] == round(10 / 64, 4)


def test_a_run_says_where_its_time_went(dataset, tmp_path):
    train(CONFIG, dataset, tmp_path)
    timing = json.loads((tmp_path / "timing.json").read_text())
    assert timing["seconds"] == pytest.approx(sum(timing[f"seconds_{part}"] for part in PARTS), abs=0.01)
    assert 0 < timing["goodput"] < 1
    assert all(timing[f"seconds_{part}"] > 0 for part in ("step", "evaluation", "checkpoint"))
    epochs = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines() if '"epoch"' in line]
    assert epochs[1]["seconds_checkpoint"] > 0, "the first epoch's checkpoint, which came after its line"
    assert not (tmp_path / "profile").exists()


def test_a_trace_of_so_many_steps(dataset, tmp_path):
    train(dataclasses.replace(CONFIG, profile=3), dataset, tmp_path)
    assert list((tmp_path / "profile").rglob("*.xplane.pb")), "TensorBoard reads this"
    assert list((tmp_path / "profile").rglob("*.trace.json.gz")), "Perfetto reads this"
