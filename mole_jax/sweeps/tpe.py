"""A search that learns from its trials (Optuna's TPE) and stops poor ones early. Needs the package optuna."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from mole_jax.errors import optional
from mole_jax.executors.base import Job
from mole_jax.sweeps.directory import SEARCH, trial_dir
from mole_jax.sweeps.journal import Journal
from mole_jax.sweeps.outcome import diverged, epochs_of, finished
from mole_jax.sweeps.sources import Recorder, Tell
from mole_jax.sweeps.space import Range, Space, rounded
from mole_jax.sweeps.trials import Resolve, Trial, trials_of

STUDY: Final = "sweep"
SEED: Final = 0
BEFORE_PRUNING: Final = 5  # trials that are finished before one is judged poor
WARM_UP: Final = 1  # epochs of a trial before it may be judged
AGAIN: Final = "goes on from its checkpoint"  # of a trial whose driver died


class Tpe(Recorder):
    """Trials that are suggested one by one; what is known of each lies in Optuna's journal file."""

    def __init__(
        self,
        directory: Path,
        journal: Journal,
        tell: Tell,
        *,
        space: Space,
        count: int,
        resolve: Resolve,
        job_of: Callable[[Sequence[Trial]], Job],
        prune: bool,
    ) -> None:
        """Opens the search, or goes on with it.

        Args:
            directory: of the sweep.
            journal: of the sweep.
            tell: called with a line for people.
            space: what is varied.
            count: how many trials.
            resolve: makes the whole config of what a trial changes.
            job_of: makes a trial's job.
            prune: whether to stop trials that are worse, at an epoch, than the median of the others at that epoch.

        Raises:
            UserError: optuna is not installed.
        """
        super().__init__(directory, journal, tell)
        self._optuna = optuna = optional("optuna", wanted_by="--tpe", extra="search")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        backend = optional("optuna.storages.journal", wanted_by="--tpe", extra="search")
        pruners = optuna.pruners
        self._study = optuna.create_study(
            study_name=STUDY,
            storage=optuna.storages.JournalStorage(backend.JournalFileBackend(str(directory / SEARCH))),
            pruner=pruners.MedianPruner(BEFORE_PRUNING, WARM_UP) if prune else pruners.NopPruner(),
            direction="maximize",
            load_if_exists=True,
        )
        # Seeded by where the search is, or each start would begin with the same suggestions.
        place = len(self._study.get_trials(deepcopy=False))
        self._study.sampler = optuna.samplers.TPESampler(seed=SEED + place, constant_liar=True)
        self._space, self._count, self._resolve, self._job_of = space, count, resolve, job_of
        self._running: dict[str, Any] = {}  # a trial's name -> Optuna's trial
        self._reported: dict[str, int] = {}  # a trial's name -> how many of its epochs Optuna knows
        self._poor: set[str] = set()
        self._fail_orphans()

    def next(self) -> Job | None:
        """As `Source.next`."""
        while self._asked() < self._count:
            asked = self._study.ask(_distributions(self._optuna, self._space))
            trial = self._trial(asked.params)
            if trial.name in self._running:  # the same numbers once more: nothing to learn
                self._study.tell(asked, state=self._optuna.trial.TrialState.FAIL)
                continue
            self._running[trial.name] = asked
            if finished(trial_dir(self.directory, trial.name)):
                self.told(trial)
                continue
            return self.expect(self._job_of([trial]), [trial])
        return None

    def poor(self, running: Iterable[Job]) -> list[Job]:
        """As `Source.poor`, by validation AUROC epoch by epoch."""
        found = []
        for job in running:
            if self._report(job.name) and self._running[job.name].should_prune():
                self._poor.add(job.name)
                found.append(job)
        return found

    def _report(self, name: str) -> bool:
        """Tells Optuna of a trial's epochs; whether there were new ones."""
        epochs = epochs_of(trial_dir(self.directory, name))
        new = epochs[self._reported.get(name, 0) :]
        for epoch in new:
            self._running[name].report(epoch["validation_auroc"], epoch["epoch"])
        self._reported[name] = len(epochs)
        return bool(new)

    def is_poor(self, trial: Trial) -> bool:
        """As `Recorder.is_poor`."""
        return trial.name in self._poor

    def told(self, trial: Trial) -> None:
        """As `Recorder.told`: Optuna hears of it too."""
        folder, states = trial_dir(self.directory, trial.name), self._optuna.trial.TrialState
        state = self.journal.state(trial.name)
        if state == "begun":  # pre-empted: it goes on
            return
        self._report(trial.name)
        asked = self._running.pop(trial.name)
        if finished(folder) and not diverged(folder):
            self._study.tell(asked, max(epoch["validation_auroc"] for epoch in epochs_of(folder)))
        else:
            self._study.tell(asked, state=states.PRUNED if state == "pruned" else states.FAIL)

    def configurations(self) -> list[list[Trial]]:
        """The trials so far, each in a list of its own, in the order in which they were suggested."""
        trials = [self._trial(each.params) for each in self._study.trials if each.params]
        return [[trial] for trial in {trial.name: trial for trial in trials}.values()]

    def _trial(self, params: Mapping[str, Any]) -> Trial:
        changes = {
            name: rounded(params[name], values) if isinstance(values, Range) else params[name]
            for name, values in self._space.items()
        }
        (trial,) = trials_of(changes, self._resolve, 1)
        return trial

    def _asked(self) -> int:
        """How many trials were asked for, but for those that were asked for once more."""
        return sum(AGAIN not in each.user_attrs for each in self._study.get_trials(deepcopy=False) if each.params)

    def _fail_orphans(self) -> None:
        """Ends the trials that a dead driver has left as running, which Optuna would wait for; they are suggested
        again first.
        """
        states = self._optuna.trial.TrialState
        for orphan in self._study.get_trials(deepcopy=False, states=[states.RUNNING]):
            self._study._storage.set_trial_user_attr(orphan._trial_id, AGAIN, True)
            self._study.tell(orphan.number, state=states.FAIL)
            self._study.enqueue_trial(orphan.params)


def _distributions(optuna: Any, space: Space) -> dict[str, Any]:
    made = {}
    for name, values in space.items():
        if not isinstance(values, Range):
            made[name] = optuna.distributions.CategoricalDistribution(list(values))
        elif values.whole:
            made[name] = optuna.distributions.IntDistribution(values.low, values.high, log=values.kind == "log")
        else:
            made[name] = optuna.distributions.FloatDistribution(values.low, values.high, log=values.kind == "log")
    return made
