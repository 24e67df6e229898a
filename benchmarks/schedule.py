"""What does the schedule of a sweep cost a trial? python -m benchmarks.schedule [TRIALS] [WORKERS]

Pretended trials on pretended workers, of which some are killed, pre-empted or fail at random: what is left is the
driver's own time, journal included. Says whether a trial was lost or finished twice.
"""

import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from mole_jax.executors.base import Ended, Job
from mole_jax.executors.schedule import run_jobs
from mole_jax.sweeps.journal import Journal

RETRIES = 10
OUTCOMES = {0: 0.7, -9: 0.15, 75: 0.1, 1: 0.05}  # exit status -> how often


class Pretended:
    """Workers of which a random one ends next."""

    def __init__(self, chance: random.Random) -> None:
        self._chance, self._running = chance, list[Job]()
        self.most, self.finished = 0, Counter[str]()

    def start(self, job: Job) -> None:
        """Takes a worker."""
        self._running.append(job)
        self.most = max(self.most, len(self._running))

    def wait(self, seconds: float) -> list[Ended]:
        """A random one of those that run ends at once."""
        job = self._running.pop(self._chance.randrange(len(self._running)))
        status = self._chance.choices(list(OUTCOMES), list(OUTCOMES.values()))[0]
        self.finished[job.name] += status == 0
        return [Ended(job.name, status)]

    def stop(self, name: str) -> None:
        """None is poor."""

    def close(self) -> None:
        """Nothing runs any more."""


class Trials:
    """So many trials, in a journal."""

    def __init__(self, count: int, journal: Journal) -> None:
        self._waiting = [Job(f"trial-{i}", (), Path(), Path()) for i in reversed(range(count))]
        self._journal = journal
        self.done = Counter[str]()

    def next(self) -> Job | None:
        """The next one."""
        return self._waiting.pop() if self._waiting else None

    def started(self, job: Job, attempt: int) -> None:
        """Into the journal."""
        self._journal.write(job.name, "begun")

    def ended(self, job: Job, ended: Ended, *, again: bool) -> None:
        """Into the journal."""
        self._journal.write(job.name, "done" if ended.status == 0 else "failed")
        self.done[job.name] += not again

    def poor(self, running: Iterable[Job]) -> list[Job]:
        """None."""
        return []


def main(count: int, workers: int) -> None:
    """Runs them and says what they cost."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal.open(Path(folder) / "trials.jsonl")
        trials, executor = Trials(count, journal), Pretended(random.Random(0))
        began = time.perf_counter()
        run_jobs(trials, executor, parallel=workers, retries=RETRIES)
        seconds = time.perf_counter() - began
        journal.close()
        starts = sum(journal.starts.values())
        read = Journal.open(Path(folder) / "trials.jsonl")
        read.close()
    lost = count - len(trials.done)
    twice = sum(number > 1 for number in (*trials.done.values(), *executor.finished.values()))
    took = f"{seconds:.2f} s, {seconds / count * 1e3:.2f} ms a trial"
    print(f"{count} trials on {executor.most} workers, {starts} starts: {took}")
    print(f"{lost} lost, {twice} finished twice; the journal, read again, knows {len(read.last)}")


if __name__ == "__main__":
    main(*(int(word) for word in (sys.argv[1:] or ["1000", "100"])))
