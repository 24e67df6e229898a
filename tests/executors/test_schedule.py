"""The schedule: so many at once, again what was killed, and nothing lost or done twice."""

import random
from collections import Counter
from pathlib import Path

import pytest

from mole_jax.executors.base import Ended, Job
from mole_jax.executors.schedule import run_jobs


class Listed:
    def __init__(self, names, poor=()):
        self.waiting = [Job(name, (), Path(), Path()) for name in names]
        self.history, self.final, self._poor = [], {}, set(poor)

    def next(self):
        return self.waiting.pop(0) if self.waiting else None

    def started(self, job, attempt):
        self.history.append((job.name, attempt))

    def ended(self, job, ended, *, again):
        if not again:
            assert job.name not in self.final
            self.final[job.name] = ended.status

    def poor(self, running):
        return [job for job in running if job.name in self._poor]


class Scripted:
    """Jobs end at random, each start with the next of its statuses."""

    def __init__(self, statuses, *, seed=0, words=""):
        self.statuses, self.random, self.words = statuses, random.Random(seed), words
        self.running, self.most, self.starts, self.closed, self.stopped = [], 0, Counter(), False, set()

    def start(self, job):
        assert job.name not in self.running
        self.running.append(job.name)
        self.most = max(self.most, len(self.running))

    def wait(self, _):
        name = self.running.pop(self.random.randrange(len(self.running)))
        of = self.statuses(name) if callable(self.statuses) else self.statuses[name]
        status = of[min(self.starts[name], len(of) - 1)]
        self.starts[name] += 1
        return [Ended(name, 75 if name in self.stopped else status, self.words)]

    def stop(self, name):
        self.stopped.add(name)

    def close(self):
        self.closed = True


def test_what_was_killed_starts_again_and_what_was_said_does_not():
    source = Listed(["good", "killed", "gone", "refused", "preempted"])
    statuses = {
        "good": [0],
        "killed": [-9, 0],
        "gone": [-9, 1, -9],
        "refused": [2],
        "preempted": [75, 75, 75, 75, 0],
    }
    executor = Scripted(statuses)
    run_jobs(source, executor, parallel=2, retries=1)
    assert source.final == {"good": 0, "killed": 0, "gone": 1, "refused": 2, "preempted": 0}
    assert executor.starts == {"good": 1, "killed": 2, "gone": 2, "refused": 1, "preempted": 5}
    assert executor.most == 2
    assert executor.closed
    assert ("killed", 0) in source.history and ("killed", 1) in source.history


def test_a_loss_that_is_not_finite_is_not_tried_again():
    source = Listed(["a"])
    run_jobs(source, Scripted({"a": [1, 0]}, words="error: train_loss is nan at step 3"), parallel=1, retries=5)
    assert source.final == {"a": 1}


def test_a_poor_one_is_stopped_and_not_started_again():
    source = Listed(["a", "b", "c"], poor=["b"])
    executor = Scripted({"a": [0], "b": [75, 75, 0], "c": [0]}, seed=1)
    run_jobs(source, executor, parallel=3, retries=3)
    assert source.final.keys() == {"a", "b", "c"}
    assert executor.stopped <= {"b"}
    assert executor.starts["b"] <= 2


def test_an_interruption_closes_the_executor():
    class Interrupted(Scripted):
        def wait(self, _):
            raise KeyboardInterrupt

    executor = Interrupted({})
    with pytest.raises(KeyboardInterrupt):
        run_jobs(Listed(["a"]), executor, parallel=1, retries=0)
    assert executor.closed


def test_a_thousand_trials_on_a_hundred_workers_that_fail_at_random():
    chance = random.Random(5)
    executor = Scripted(lambda _: [chance.choices([0, -9, 75, 1], [6, 2, 1, 1])[0]], seed=7)
    names = [f"t{i}" for i in range(1000)]
    source = Listed(names)
    run_jobs(source, executor, parallel=100, retries=3)
    assert sorted(source.final) == sorted(names), "nothing lost"
    assert executor.most == 100
    starts = Counter(name for name, _ in source.history)
    assert starts == executor.starts
    assert set(source.final.values()) <= {0, -9, 1}
    assert all(starts[name] >= 4 for name, status in source.final.items() if status), "retries were used up"
