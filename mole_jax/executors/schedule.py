"""Jobs on an executor until none is left: so many at once, and again what was killed."""

from collections import Counter, deque
from collections.abc import Iterable
from typing import Final, Protocol, runtime_checkable

from mole_jax.errors import TRY_AGAIN
from mole_jax.executors.base import Ended, Executor, Job

LOOK: Final = 1.0  # seconds between two looks at jobs that run


@runtime_checkable
class Source(Protocol):
    """Where jobs come from, and who hears how they end."""

    def next(self) -> Job | None:
        """The next job; None: none now, and none before one that runs has ended."""
        ...

    def started(self, job: Job, attempt: int) -> None:
        """A job begins, for the first time (attempt 0) or again."""
        ...

    def ended(self, job: Job, ended: Ended, *, again: bool) -> None:
        """A job has ended; `again`: it will be started once more."""
        ...

    def poor(self, running: Iterable[Job]) -> list[Job]:
        """Those of the running jobs that are not worth finishing."""
        ...


def run_jobs(source: Source, executor: Executor, *, parallel: int, retries: int) -> None:
    """Runs jobs until the source has none left.

    A job that was pre-empted goes on as often as it takes. One that was killed, or that ended with a fault, is started
    again up to `retries` times; one that ended with a sentence is not, since it would end so again.

    Args:
        source: of the jobs.
        executor: runs them; it is closed at the end, and at an error or an interruption, at which what runs is saved.
        parallel: how many at once, at most.
        retries: starts after the first, of one job.
    """
    running: dict[str, Job] = {}
    attempts: Counter[str] = Counter()
    failures: Counter[str] = Counter()
    stopped: set[str] = set()
    waiting: deque[Job] = deque()
    try:
        while True:
            while len(running) < parallel and (job := waiting.popleft() if waiting else source.next()):
                source.started(job, attempts[job.name])
                executor.start(job)
                running[job.name] = job
                attempts[job.name] += 1
            if not running:
                return
            for ended in executor.wait(LOOK):
                job = running.pop(ended.name)
                again = ended.status != 0 and not ended.explained and job.name not in stopped
                if again and ended.status != TRY_AGAIN:
                    failures[job.name] += 1
                    again = failures[job.name] <= retries
                source.ended(job, ended, again=again)
                if again:
                    waiting.append(job)
            for job in source.poor([job for job in running.values() if job.name not in stopped]):
                stopped.add(job.name)
                executor.stop(job.name)
    finally:
        executor.close()
