"""What came of a sweep: a row a configuration, the chosen one, and what its figure is worth; as files and back."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mole_jax.data.facts import DatasetFacts
from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.statistics.intervals import Estimate
from mole_jax.files.changes import remove_file
from mole_jax.files.csv_table import write_rows
from mole_jax.files.reading import read_record
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import write_json
from mole_jax.sweeps.directory import BEST, KIND, NAMES, SWEEP, TABLE, trial_dir
from mole_jax.sweeps.journal import Journal, State
from mole_jax.sweeps.outcome import best_epoch, diverged, epochs_of, finished, predictions, refuse_other
from mole_jax.sweeps.selection import Correction, Scored, choose, corrected, over_seeds
from mole_jax.sweeps.space import Space, described
from mole_jax.sweeps.trials import Trial, words_of

SCHEMA = 2  # 1 had the test figures of every configuration


@dataclass(frozen=True)
class Row:
    """A configuration.

    Attributes:
        changes: field -> value, of the fields that are varied.
        trials: the names of its trials, one a seed.
        state: done if all its trials are, else that of the first that is not.
        error: why it is not done.
        best_epochs: of each trial that is done.
        validation_auroc: the mean over its seeds; None where it is not done.
        validation_accuracy: likewise, at a score of 0.5.
        seconds: how long its trials took together.
    """

    changes: dict[str, Any]
    trials: list[str]
    state: State
    error: str
    best_epochs: list[int]
    validation_auroc: Estimate | None
    validation_accuracy: Estimate | None
    seconds: float

    @property
    def words(self) -> str:
        """The configuration for people."""
        return words_of(self.changes)


@dataclass(frozen=True)
class Chosen:
    """The configuration with the best mean AUROC on validation.

    Attributes:
        row: its place among the rows.
        config: of its first seed.
        corrected: its validation AUROC without the luck of the choice.
        test: each seed's test AUROC, with the interval over lesions.
        test_over_seeds: their mean, with the interval over seeds.
    """

    row: int
    config: dict[str, Any]
    corrected: Correction
    test: list[Estimate]
    test_over_seeds: Estimate


@dataclass(frozen=True)
class Result:
    """A sweep's result."""

    dataset: str
    dataset_fingerprint: str
    leaky: bool
    leak: str
    varied: dict[str, list[Any] | str]
    rows: list[Row]
    chosen: Chosen | None
    by_accuracy: int | None  # the row that the best accuracy would have chosen, as the paper did


def read_result(
    directory: Path, space: Space, configurations: Sequence[Sequence[Trial]], journal: Journal, facts: DatasetFacts
) -> Result:
    """Reads what the trials have left, chooses on validation, and only then looks at the test images of the chosen.

    Raises:
        UserError: a finished trial is of another config or dataset, or damaged.
    """
    rows: list[Row] = []
    scored: dict[int, Scored] = {}
    for trials in configurations:
        states = [_state(directory, trial, journal, facts.fingerprint) for trial in trials]
        whole = all(state == "done" for state, _ in states)
        state, error = next((each for each in states if each[0] != "done"), states[0])
        folders = [trial_dir(directory, trial.name) for trial in trials]
        if whole:
            scored[len(rows)] = Scored(trials[0].changes, [predictions(folder, "validation") for folder in folders])
        rows.append(
            Row(
                dict(trials[0].changes),
                [trial.name for trial in trials],
                state,
                error,
                [best_epoch(epochs_of(folder)) for folder in folders] if whole else [],
                scored[len(rows)].figure("auroc") if whole else None,
                scored[len(rows)].figure("accuracy") if whole else None,
                round(sum(journal.seconds.get(trial.name, 0.0) for trial in trials), 3),
            )
        )
    return Result(
        facts.name,
        facts.fingerprint,
        facts.leaky,
        facts.leak,
        described(space),
        rows,
        _chosen(directory, configurations, scored),
        _place(scored, "accuracy"),
    )


def write_result(directory: Path, result: Result) -> None:
    """Writes sweep.json, sweep.csv and, where one was chosen, best.json."""
    claim(directory, KIND, NAMES, alone=True, otherwise="give another --run_dir")
    rows = [_flat(row) for row in result.rows]
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_rows(directory / TABLE, names, ([row.get(name) for name in names] for row in rows))
    if result.chosen is None:
        remove_file(directory / BEST)
    else:
        write_json(directory / BEST, result.chosen.config)
    chosen = result.chosen
    write_json(
        directory / SWEEP,
        {
            "schema": SCHEMA,
            "dataset": result.dataset,
            "dataset_fingerprint": result.dataset_fingerprint,
            "leaky": result.leaky,
            "leak": result.leak,
            "varied": list(result.varied),
            "space": result.varied,
            "configurations": [
                flat | {"trials": row.trials, "best_epochs": row.best_epochs, "seconds": row.seconds}
                for flat, row in zip(rows, result.rows, strict=True)
            ],
            "by_accuracy": result.by_accuracy,
            "chosen": None if chosen is None else {**vars(chosen), "corrected": vars(chosen.corrected)},
        },
    )
    seal(directory, KIND)


@dataclass(frozen=True)
class _Stored:
    """What is read again of sweep.json."""

    dataset: str
    dataset_fingerprint: str
    leaky: bool
    leak: str
    space: dict[str, list[Any] | str]
    configurations: list[dict[str, Any]]
    chosen: Chosen | None
    by_accuracy: int | None


def stored_result(directory: Path) -> Result:
    """Reads sweep.json.

    Raises:
        UserError: it is missing, damaged or of an earlier version.
    """
    again = "give the sweep's command again, which skips what is finished and writes it"
    stored: _Stored = read_record(directory / SWEEP, _Stored, remedy=again)
    rows = []
    for flat in stored.configurations:
        estimates = {name: _estimate(flat, name) for name in ("validation_auroc", "validation_accuracy")}
        changes = {name: flat[name] for name in stored.space}
        kept = {name: flat[name] for name in ("trials", "state", "error", "best_epochs", "seconds")}
        rows.append(Row(changes=changes, **kept, **estimates))
    return Result(
        stored.dataset,
        stored.dataset_fingerprint,
        stored.leaky,
        stored.leak,
        stored.space,
        rows,
        stored.chosen,
        stored.by_accuracy,
    )


def _state(directory: Path, trial: Trial, journal: Journal, fingerprint: str) -> tuple[State, str]:
    folder = trial_dir(directory, trial.name)
    if not finished(folder):
        state = journal.state(trial.name)
        return ("failed" if state == "done" else state), journal.error(trial.name)
    refuse_other(folder, trial.config, fingerprint)
    what = diverged(folder)
    return ("diverged", what) if what else ("done", "")


def _place(scored: Mapping[int, Scored], by: Any) -> int | None:
    best = choose([*scored.values()], by)
    return next((place for place, each in scored.items() if each is best), None)


def _chosen(directory: Path, configurations: Sequence[Sequence[Trial]], scored: Mapping[int, Scored]) -> Chosen | None:
    place = _place(scored, "auroc")
    if place is None:
        return None
    trials = configurations[place]
    test = []
    for trial in trials:
        of_test = predictions(trial_dir(directory, trial.name), "test")
        score = of_test.score if of_test.logit is None else of_test.logit
        test.append(cluster_auroc(score, of_test.label, of_test.groups))
    means = over_seeds([each["value"] for each in test if each["value"] is not None])
    return Chosen(place, trials[0].config.to_dict() | {"run_dir": ""}, corrected([*scored.values()]), test, means)


def _flat(row: Row) -> dict[str, Any]:
    """A row of sweep.csv, the same each time, and the most of one of sweep.json."""
    flat: dict[str, Any] = dict(row.changes)
    flat |= {"state": row.state, "diverged": row.error if row.state == "diverged" else None, "error": row.error}
    flat |= {"best_epoch": row.best_epochs[0] if row.best_epochs else None}
    for name in ("validation_accuracy", "validation_auroc"):
        found: Estimate | None = getattr(row, name)
        if found is not None:
            flat |= {name: found["value"], f"{name}_low": found["low"], f"{name}_high": found["high"]}
    return flat


def _estimate(flat: Mapping[str, Any], name: str) -> Any:
    if name not in flat:
        return None
    low, high = flat[f"{name}_low"], flat[f"{name}_high"]
    return {"value": flat[name], "low": low, "high": high, "method": None if low is None else "student_t"}
