"""Many configurations of one model: their metrics side by side, and the one to choose.

Logistic regressions share one pass over the images (`mole_jax.studies.stacked`). Other models are trained one after
the other, as runs of their own: one of their steps fills all cores already, and two of them stacked take longer than
one after the other (RESULTS.md, "What was tried and did not work").
"""

import dataclasses
import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, Literal

from mole_jax.config import IDENTITY, RunConfig
from mole_jax.data.dataset import Dataset, load_dataset
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.evaluation.statistics.auroc import auroc
from mole_jax.files.csv_table import write_rows
from mole_jax.files.reading import read_record
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import write_json
from mole_jax.placement import placement_of
from mole_jax.runs.directory import STEPS, hold
from mole_jax.runs.read import read_epochs
from mole_jax.studies.experiment import run_experiment
from mole_jax.studies.stacked import Outcome, train_stacked
from mole_jax.studies.sweep_grid import Grid
from mole_jax.training.epoch_metrics import NonFinite

KIND: Final = "sweep"
SWEEP: Final = "sweep.json"
TABLE: Final = "sweep.csv"
Metric = Literal["accuracy", "auroc"]


@dataclasses.dataclass(frozen=True)
class StoredConfiguration:
    """What is read again of a configuration in sweep.json."""

    config: dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Stored:
    """What is read again of sweep.json."""

    varied: list[str]
    configurations: list[StoredConfiguration]


def configurations(config: RunConfig, grid: Grid) -> list[RunConfig]:
    """One config for each combination of the grid's values, the last field varying fastest.

    Args:
        config: gives every field that is not in the grid.
        grid: field -> its values.

    Raises:
        UserError: a field may not vary, a value is not one of the field's, or a combination comes twice.
    """
    for name in grid:
        if name not in IDENTITY - {"model", "dataset"}:
            raise UserError(f"{name!r} is the same for a whole sweep: take it out of the grid, give --{name}")
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    configs = [RunConfig.from_dict(config.to_dict() | changes) for changes in combinations]
    if len(set(configs)) < len(configs):
        raise UserError("the grid names a value twice; name each once")
    return configs


def sweep(config: RunConfig, grid: Grid, directory: Path) -> tuple[Dataset, list[Outcome]]:
    """Trains every configuration of a grid; gives the dataset, and the outcomes in the order of `configurations`.

    Writes `sweep.json` and `sweep.csv` into `directory`. A sweep of runs that is stopped goes on where it was; one of
    logistic regressions begins again, since it costs about two runs.

    Args:
        config: gives every field that is not in the grid; its `run_dir` is not used.
        grid: field -> its values.
        directory: where the files go, and the runs of all models but the logistic regression, one folder each.

    Raises:
        UserError: as `configurations` and `run_experiment`; or another sweep is in the directory.
        Interrupted: SIGTERM or Ctrl-C came; the run under way has been saved.
    """
    configs = configurations(config, grid)
    for each in configs:
        placement_of(each)  # refuses before the first is trained
    dataset = load_dataset(Path(config.data_dir), config.dataset)
    with hold(directory, KIND, (SWEEP, TABLE)):
        _refuse_another_sweep(directory, configs)
        if all(each.model == "logistic" and each.normalize != "batch" for each in configs):
            outcomes = train_stacked(configs, dataset)
        else:
            outcomes = [_run(each, directory / each.name) for each in configs]
        dataset.reading.refuse_change()
        _write(directory, grid, outcomes, dataset)
    return dataset, outcomes


def choose(outcomes: Sequence[Outcome], dataset: Dataset, by: Metric) -> Outcome | None:
    """The outcome with the highest metric on the validation split, the first of equals; None where all diverged.

    The paper chose by accuracy.
    """
    sound = [outcome for outcome in outcomes if outcome.diverged is None]
    return max(sound, key=lambda outcome: metrics_of(outcome, dataset)["validation"][by], default=None)


def metrics_of(outcome: Outcome, dataset: Dataset) -> dict[Split, dict[Metric, float]]:
    """AUROC, and accuracy at probability 0.5, on every split, at the epoch with the best validation AUROC; empty where
    it diverged.
    """
    return {
        split: {
            "accuracy": float(((logits >= 0) == (dataset.labels[split] == 1)).mean()),
            "auroc": auroc(dataset.labels[split], logits),
        }
        for split, logits in outcome.logits.items()
    }


def _run(config: RunConfig, run_dir: Path) -> Outcome:
    config = dataclasses.replace(config, run_dir=str(run_dir))
    try:
        outcome = run_experiment(config, report=False)
    except NonFinite as stop:
        return Outcome(config, read_epochs(run_dir / STEPS), {}, str(stop))
    logits: Any = {split: predictions.logit for split, predictions in outcome.predictions.items()}
    return Outcome(config, read_epochs(run_dir / STEPS), logits, None)


def _refuse_another_sweep(directory: Path, configs: Sequence[RunConfig]) -> None:
    path = directory / SWEEP
    if not path.exists():
        return
    there: Stored = read_record(path, Stored, remedy="give another --run_dir")
    before = [RunConfig.from_dict(RunConfig().to_dict() | row.config) for row in there.configurations]
    if [_identity(each) for each in before] != [_identity(each) for each in configs]:
        raise UserError(
            f"{directory} holds a sweep of other configurations (over {', '.join(there.varied)}); give another "
            "--run_dir, or move it away"
        )


def _identity(config: RunConfig) -> dict[str, Any]:
    return {name: value for name, value in config.to_dict().items() if name in IDENTITY}


def _write(directory: Path, grid: Grid, outcomes: list[Outcome], dataset: Dataset) -> None:
    claim(directory, KIND, (SWEEP, TABLE), alone=True, otherwise="give another --run_dir")
    rows = []
    for outcome in outcomes:
        row: dict[str, Any] = {name: getattr(outcome.config, name) for name in grid}
        row["best_epoch"], row["diverged"] = outcome.best_epoch, outcome.diverged
        for split, of_split in metrics_of(outcome, dataset).items():
            row |= {f"{split}_{name}": value for name, value in of_split.items()}
        rows.append(row)
    write_json(
        directory / SWEEP,
        {
            "dataset": dataset.facts.name,
            "dataset_fingerprint": dataset.facts.fingerprint,
            "leaky": dataset.facts.leaky,
            "varied": list(grid),
            "configurations": [
                row | {"config": outcome.config.to_dict(), "epochs": outcome.epochs}
                for row, outcome in zip(rows, outcomes, strict=True)
            ],
        },
    )
    names = list(dict.fromkeys(name for row in rows for name in row))
    write_rows(directory / TABLE, names, ([row.get(name) for name in names] for row in rows))
    seal(directory, KIND)
