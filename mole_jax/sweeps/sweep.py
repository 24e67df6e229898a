"""A sweep from its plan to its table: refuse, run what is not finished, choose on validation, write."""

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from mole_jax.config import RunConfig
from mole_jax.data.facts import DatasetFacts, read_facts
from mole_jax.data.versions import dataset_directory
from mole_jax.errors import UserError
from mole_jax.executors.base import Executor, Job
from mole_jax.executors.schedule import run_jobs
from mole_jax.files.changes import remove_file
from mole_jax.files.writing import write_json
from mole_jax.runs.directory import hold
from mole_jax.sweeps.directory import (
    JOURNAL,
    KIND,
    NAMES,
    SWEEP,
    TRIALS,
    begin,
    plan_of,
    refuse_another_sweep,
    trial_dir,
    trial_log,
)
from mole_jax.sweeps.journal import Journal
from mole_jax.sweeps.result import Result, read_result, write_result
from mole_jax.sweeps.sources import Listed, Tell
from mole_jax.sweeps.space import Space, combinations, draws
from mole_jax.sweeps.tpe import Tpe
from mole_jax.sweeps.trials import Resolve, Trial, refuse_twins, refuse_unsound, trials_of

How = Literal["grid", "random", "tpe"]
# (the sweep's directory, the trials of one job) -> what Python is started with to do them.
Commands = Callable[[Path, Sequence[Trial]], tuple[str, ...]]


@dataclass(frozen=True)
class Plan:
    """What is asked for.

    Attributes:
        space: what is varied.
        how: the way through it.
        count: how many configurations; not read for a grid, which has as many as it has.
        seeds: trials of each configuration.
        prune: whether a search with TPE stops poor trials early.
        resolve: makes the whole config of what a trial changes.
    """

    space: Space
    how: How
    resolve: Resolve
    count: int = 0
    seeds: int = 1
    prune: bool = True

    def refuse_unsound(self) -> None:
        """Checks every value that may come.

        Raises:
            UserError: a value is not one of its field's, or a search has several seeds.
        """
        if self.how == "tpe" and self.seeds > 1:
            raise UserError(
                f"--tpe searches with one seed a trial: leave out --seeds={self.seeds}, and give it to a --grid of the "
                "best few"
            )
        refuse_unsound(self.space, self.resolve, self.seeds)

    def configurations(self) -> list[list[Trial]]:
        """The trials of each configuration.

        Raises:
            UserError: a value is not one of its field's, or a configuration comes twice.
        """
        changes = combinations(self.space) if self.how == "grid" else draws(self.space, self.count)
        found = [trials_of(each, self.resolve, self.seeds) for each in changes]
        refuse_twins([trial for trials in found for trial in trials])
        return found


def sweep(
    plan: Plan,
    directory: Path,
    *,
    executor: Executor,
    commands: Commands,
    parallel: int = 1,
    retries: int = 1,
    stack: bool = True,
    tell: Tell = lambda _: None,
) -> Result:
    """Runs the trials that are not finished, and writes what came of all of them into the directory.

    What is finished is skipped, what was stopped goes on from its checkpoint, what failed is recorded.

    Args:
        plan: what is asked for.
        directory: where everything goes.
        executor: runs the trials' programs.
        commands: says which programs these are.
        parallel: trials at once, at most.
        retries: how often a trial is started again that was killed or has a fault.
        stack: whether logistic regressions share their passes over the images.
        tell: called with a line for people.

    Raises:
        UserError: a value is not one of its field's, the dataset is not prepared, or the directory holds another sweep.
        KeyboardInterrupt: as it was raised; the trials under way have been saved.
    """
    plan.refuse_unsound()
    configurations = [] if plan.how == "tpe" else plan.configurations()
    config = plan.resolve({})
    facts = _facts(config.data_dir, config.dataset)
    asked = plan_of(config, plan.space, plan.how, facts.fingerprint)
    with hold(directory, KIND, NAMES):
        refuse_another_sweep(directory, asked)
        begin(directory, asked)
        remove_file(directory / SWEEP)
        journal = Journal.open(directory / JOURNAL)
        try:
            source = _source(plan, configurations, directory, journal, tell, commands, stack)
            run_jobs(source, executor, parallel=parallel, retries=retries)
            result = read_result(directory, plan.space, source.configurations(), journal, facts)
        finally:
            journal.close()
        write_result(directory, result)
    return result


def _source(
    plan: Plan,
    configurations: Sequence[Sequence[Trial]],
    directory: Path,
    journal: Journal,
    tell: Tell,
    commands: Commands,
    stack: bool,
) -> Listed | Tpe:
    def make(trials: Sequence[Trial]) -> Job:
        return job_of(directory, trials, commands)

    if plan.how == "tpe":
        return Tpe(
            directory,
            journal,
            tell,
            space=plan.space,
            count=plan.count,
            resolve=plan.resolve,
            job_of=make,
            prune=plan.prune,
        )
    trials = [trial for of in configurations for trial in of]
    return Listed(directory, journal, tell, configurations, _together(trials, stack), make)


def job_of(directory: Path, trials: Sequence[Trial], commands: Commands) -> Job:
    """The job of one trial, or of several that share a pass; writes their configs where it will find them."""
    (directory / TRIALS).mkdir(exist_ok=True)
    for trial in trials:
        config = dataclasses.replace(trial.config, run_dir=str(trial_dir(directory, trial.name)))
        write_json(directory / TRIALS / f"{trial.name}.json", config.to_dict())
    name = trials[0].name if len(trials) == 1 else f"stack-{trials[0].name}"
    return Job(name, commands(directory, trials), Path.cwd(), directory / trial_log(name))


def stackable(config: RunConfig) -> bool:
    """Whether a trial can share its pass over the images with others (`mole_jax.studies.stacked`)."""
    alone = config.normalize == "batch" or config.examples or config.preprocess != "none"
    return config.model == "logistic" and not alone


def _together(trials: Sequence[Trial], stack: bool) -> list[list[Trial]]:
    """The trials of each job: regressions that compute on the same devices in one, all others alone."""
    stacks: dict[tuple[str, str], list[Trial]] = {}
    alone: list[list[Trial]] = []
    for trial in trials:
        if stack and stackable(trial.config):
            stacks.setdefault((trial.config.mesh, trial.config.shard_params), []).append(trial)
        else:
            alone.append([trial])
    return [*stacks.values(), *alone]


def _facts(data_dir: str, dataset: str) -> DatasetFacts:
    return read_facts(dataset_directory(Path(data_dir), dataset))
