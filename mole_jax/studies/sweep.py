"""Many configurations of one model: their figures side by side, and the one to choose.

Logistic regressions share one pass over the images (`mole_jax.studies.stacked`). Other models are trained one after
the other, as runs of their own: one of their steps fills all cores already, and two of them stacked take longer than
one after the other (RESULTS.md, "What did not work").
"""

import csv
import dataclasses
import io
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from mole_jax.backbones.weights import Pretrained
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.records import Split
from mole_jax.errors import UserError
from mole_jax.evaluation.statistics.auroc import auroc
from mole_jax.files.writing import write_json, write_text
from mole_jax.runs.directory import hold
from mole_jax.runs.identity import claim
from mole_jax.studies.stacked import Outcome, train_stacked
from mole_jax.training.epoch_metrics import NonFinite
from mole_jax.training.loop import train

# What is the same for all configurations of a sweep.
FIXED = (
    *("model", "dataset", "epochs", "finetune_epochs", "data_dir", "run_dir"),
    *("checkpoint_every", "data_on_device", "profile"),
)
Figure = Literal["accuracy", "auroc"]


def configurations(config: RunConfig, grid: Mapping[str, Sequence[Any]]) -> list[RunConfig]:
    """One config for each combination of the grid's values, the last field varying fastest.

    Args:
        config: gives every field that is not in the grid.
        grid: field -> its values.

    Raises:
        UserError: a field may not vary, a value is not one of the field's, or a combination comes twice.
    """
    for name in grid:
        if name in FIXED:
            raise UserError(f"{name!r} is the same for a whole sweep: take it out of the grid, give --{name}")
    combinations = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    configs = [RunConfig.from_dict(config.to_dict() | changes) for changes in combinations]
    if len(set(configs)) < len(configs):
        raise UserError("the grid names a value twice; name each once")
    return configs


def sweep(
    config: RunConfig,
    grid: Mapping[str, Sequence[Any]],
    dataset: Dataset,
    directory: Path,
    *,
    pretrained: Pretrained | None = None,
) -> list[Outcome]:
    """Trains every configuration of a grid; gives the outcomes in the order of `configurations`.

    Writes `sweep.json` and `sweep.csv` into `directory`. A sweep of runs that is stopped goes on where it was; one of
    logistic regressions begins again, since it costs about two runs.

    Args:
        config: gives every field that is not in the grid; its `run_dir` is not used.
        grid: field -> its values.
        dataset: prepared.
        directory: where the files go, and the runs of all models but the logistic regression, one folder each.
        pretrained: the backbone of model=transfer.

    Raises:
        UserError: as `configurations`, or as `mole_jax.training.loop.train`.
        Interrupted: SIGTERM came; the run under way has been saved.
    """
    configs = configurations(config, grid)
    directory.mkdir(parents=True, exist_ok=True)
    with hold(directory):
        if all(each.model == "logistic" and each.normalize != "batch" for each in configs):
            outcomes = train_stacked(configs, dataset)
        else:
            outcomes = [_run(each, dataset, directory / each.name, pretrained) for each in configs]
        _write(directory, list(grid), outcomes, dataset)
    return outcomes


def choose(outcomes: Sequence[Outcome], dataset: Dataset, by: Figure) -> Outcome | None:
    """The outcome with the highest figure on the validation split, the first of equals; None where all diverged.

    The paper chose by accuracy.
    """
    sound = [outcome for outcome in outcomes if outcome.diverged is None]
    return max(sound, key=lambda outcome: figures(outcome, dataset)["validation"][by], default=None)


def figures(outcome: Outcome, dataset: Dataset) -> dict[Split, dict[Figure, float]]:
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


def _run(config: RunConfig, dataset: Dataset, run_dir: Path, pretrained: Pretrained | None) -> Outcome:
    config = dataclasses.replace(config, run_dir=str(run_dir))
    with hold(run_dir):
        weights = pretrained.describe() if pretrained else None
        claim(run_dir, config, fingerprint=dataset.facts.fingerprint, weights=weights)
        try:
            logits, diverged = train(config, dataset, run_dir, pretrained=pretrained).logits, None
        except NonFinite as stop:
            logits, diverged = {}, str(stop)
    lines = map(json.loads, (run_dir / "metrics.jsonl").read_text().splitlines())
    return Outcome(config, [line for line in lines if "epoch" in line], logits, diverged)


def _write(directory: Path, varied: list[str], outcomes: list[Outcome], dataset: Dataset) -> None:
    rows = []
    for outcome in outcomes:
        row: dict[str, Any] = {name: getattr(outcome.config, name) for name in varied}
        row["best_epoch"], row["diverged"] = outcome.best_epoch, outcome.diverged
        for split, of_split in figures(outcome, dataset).items():
            row |= {f"{split}_{name}": value for name, value in of_split.items()}
        rows.append(row)
    write_json(
        directory / "sweep.json",
        {
            "dataset": dataset.facts.name,
            "dataset_fingerprint": dataset.facts.fingerprint,
            "leaky": dataset.facts.leaky,
            "varied": varied,
            "configurations": [
                row | {"config": outcome.config.to_dict(), "epochs": outcome.epochs}
                for row, outcome in zip(rows, outcomes, strict=True)
            ],
        },
    )
    table = io.StringIO()
    writer = csv.DictWriter(table, list(dict.fromkeys(name for row in rows for name in row)), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_text(directory / "sweep.csv", table.getvalue())
