"""The trials of a grid or of random draws, as jobs; what becomes of them goes into the journal."""

import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError
from mole_jax.executors.base import SENTENCE, Ended, Job
from mole_jax.sweeps.directory import trial_dir
from mole_jax.sweeps.journal import FINAL, Journal, state_after
from mole_jax.sweeps.outcome import diverged, finished
from mole_jax.sweeps.trials import Trial

Tell = Callable[[str], None]
REFUSED: Final = 3  # trials in a row, from the first, that are refused for the same reason: so would all be


class Recorder:
    """Writes down what becomes of jobs, each of one trial or of several that share a pass."""

    def __init__(self, directory: Path, journal: Journal, tell: Tell) -> None:
        """Remembers where.

        Args:
            directory: of the sweep.
            journal: of the sweep.
            tell: called with a line for people.
        """
        self.directory, self.journal, self.tell = directory, journal, tell
        self._trials: dict[str, Sequence[Trial]] = {}
        self._began: dict[str, float] = {}
        self._refusals: list[str] | None = []  # None: one was not

    def expect(self, job: Job, trials: Sequence[Trial]) -> Job:
        """Says which trials a job is for."""
        self._trials[job.name] = trials
        return job

    def started(self, job: Job, attempt: int) -> None:
        """As `Source.started`."""
        trials = self._trials[job.name]
        self._began[job.name] = time.monotonic()
        for trial in trials:
            self.journal.write(trial.name, "begun")
        what = trials[0].words if len(trials) == 1 else f"{len(trials)} logistic regressions in one pass"
        self.tell(f"{'starts' if not attempt else 'starts again'}: {what} ({job.log})")

    def ended(self, job: Job, ended: Ended, *, again: bool) -> None:
        """As `Source.ended`.

        Raises:
            UserError: the first trials were all refused for the same reason.
        """
        trials, seconds = self._trials[job.name], time.monotonic() - self._began[job.name]
        took = f"{seconds:,.0f} s{' together' if len(trials) > 1 else ''}"
        for trial in trials:
            folder = trial_dir(self.directory, trial.name)
            state, error = state_after(ended, finished=finished(folder), poor=self.is_poor(trial))
            if state == "done" and (what := diverged(folder)):
                state, error = "diverged", what
            self.journal.write(trial.name, state, seconds=seconds / len(trials), error=error)
            self.told(trial)
            after = f": {error}" if error else ""
            self.tell(f"{state}{' for now' if again else ''}, {took}: {trial.words}{after}")
        self._count_refusal(ended)

    def is_poor(self, trial: Trial) -> bool:
        """Whether a trial was stopped since it was poor."""
        return False

    def told(self, trial: Trial) -> None:
        """Called when the journal has what became of a trial."""

    def poor(self, running: Iterable[Job]) -> list[Job]:
        """None: all are worth finishing."""
        return []

    def _count_refusal(self, ended: Ended) -> None:
        if self._refusals is None:
            return
        if ended.status != 2:
            self._refusals = None
            return
        self._refusals.append(ended.words.removeprefix(SENTENCE))
        if len(self._refusals) == REFUSED and len(set(self._refusals)) == 1:
            raise UserError(f"the first {REFUSED} trials were all refused, so the sweep has stopped: {ended.words}")


class Listed(Recorder):
    """Trials that are known beforehand; those that are finished are left out."""

    def __init__(
        self,
        directory: Path,
        journal: Journal,
        tell: Tell,
        configurations: Sequence[Sequence[Trial]],
        together: Sequence[Sequence[Trial]],
        job_of: Callable[[Sequence[Trial]], Job],
    ) -> None:
        """Makes the jobs.

        Args:
            directory: of the sweep.
            journal: of the sweep.
            tell: called with a line for people.
            configurations: the trials, those of a configuration in one list.
            together: the same trials, those of a job in one list.
            job_of: makes a job of such a list.
        """
        super().__init__(directory, journal, tell)
        self._configurations = configurations
        self._waiting: deque[tuple[Job, Sequence[Trial]]] = deque()
        for trials in together:
            if left := [trial for trial in trials if not is_done(directory, journal, trial)]:
                self._waiting.append((job_of(left), left))

    def next(self) -> Job | None:
        """As `Source.next`."""
        return self.expect(*self._waiting.popleft()) if self._waiting else None

    def configurations(self) -> Sequence[Sequence[Trial]]:
        """The trials, those of a configuration in one list."""
        return self._configurations


def is_done(directory: Path, journal: Journal, trial: Trial) -> bool:
    """Whether a trial need not be started again: its directory is complete, or it diverged."""
    return finished(trial_dir(directory, trial.name)) or (
        journal.state(trial.name) in FINAL and journal.state(trial.name) != "done"
    )
