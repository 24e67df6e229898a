"""The paper's grid of the logistic regression (learning rate by batch size), from what `experiments.sweep` wrote."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NotRequired, TypedDict

from mole_jax.evaluation.paper_results import GRID_BATCH_SIZES, GRID_RATES
from mole_jax.files.reading import read_record
from mole_jax.report.parts import Part, Row, Table

CAPTION = (
    "Validation accuracy at a score of 0.5 after the same number of epochs, at each run's best epoch; the AUROC on the "
    "same images stands below it. The paper tuned one setting at a time and chose a rate of 0.1 and batches of 500; "
    "where it printed a number, it stands at the end of the row or column. It summed the loss over the batch and "
    "trained on 3,000 images, so its rates are not ours. Differences of a hundredth are chance."
)


class StoredRow(TypedDict):
    """What the page shows of a configuration in sweep.json."""

    learning_rate: float
    batch_size: int
    diverged: str | None
    validation_accuracy: NotRequired[float]
    validation_auroc: NotRequired[float]
    test_accuracy: NotRequired[float]
    test_auroc: NotRequired[float]


@dataclass(frozen=True)
class Stored:
    """What the page shows of sweep.json."""

    configurations: list[StoredRow]


def grid_table(sweep: Path, *, name: str, title: str) -> Part:
    """The grid of one data set.

    Args:
        sweep: sweep.json, with the fields learning_rate and batch_size varied.
        name: of the part.
        title: of the part.
    """
    stored: Stored = read_record(sweep, Stored, remedy="move the sweep's directory away and give the command again")
    cells: dict[tuple[float, int], dict[str, Any]] = {
        (row["learning_rate"], row["batch_size"]): {**row} for row in stored.configurations
    }
    rates = list(dict.fromkeys(rate for rate, _ in cells))
    sizes = list(dict.fromkeys(size for _, size in cells))
    rows = [
        Row([f"rate {rate:g}", *(_cell(cells.get((rate, size))) for size in sizes), _printed(GRID_RATES.get(rate))])
        for rate in rates
    ]
    rows.append(Row(["paper", *(_printed(GRID_BATCH_SIZES.get(size)) for size in sizes), ""], "paper"))
    columns = ("learning_rate", "batch_size", "validation_accuracy", "validation_auroc", "test_accuracy", "test_auroc")
    numbers = {column: [row.get(column) for row in cells.values()] for column in columns}
    table = Table(["", *(f"batch {size}" for size in sizes), "paper"], rows)
    return Part(name, title, CAPTION, table=table, numbers=numbers)


def _cell(row: dict[str, Any] | None) -> str:
    if row is None:
        return "–"
    if row["diverged"]:
        return "– (diverged)"
    if "validation_accuracy" not in row:
        return "– (failed)"
    return f"{row['validation_accuracy']:.3f} (AUROC {row['validation_auroc']:.3f})"


def _printed(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
