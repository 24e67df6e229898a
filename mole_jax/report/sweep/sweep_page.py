"""The page of a sweep: which configuration is best on validation, and what that is worth."""

from pathlib import Path
from typing import Any

from mole_jax.report.files import refuse_foreign_page, write_page
from mole_jax.report.parts import Part, Table, estimate_columns, estimate_text
from mole_jax.report.parts import Row as TableRow
from mole_jax.report.render import render
from mole_jax.report.sweep.sweep_figures import state_text, sweep_figure
from mole_jax.sweeps.directory import REPORT
from mole_jax.sweeps.result import Chosen, Result, stored_result
from mole_jax.sweeps.text import correction_text

SHOWN = 100  # rows of the table; the CSV has all


def write_sweep_page(directory: Path, *, command: str) -> Path:
    """Writes report.html into a finished sweep's directory, its figures and numbers beside it.

    Args:
        directory: of the sweep.
        command: trains the chosen configuration as a run of its own.

    Returns:
        The page.

    Raises:
        UserError: there is no sweep.json, or report.html is there and no page of ours.
    """
    out = directory / REPORT
    refuse_foreign_page(out)
    result = stored_result(directory)
    sections = [("best", "Which is best on validation?", [sweep_figure(result), _table(result)])]
    if result.chosen is not None:
        sections.append(("worth", "What is that worth?", [_worth(result, result.chosen)]))
    html = render(
        "sweep.html",
        title=f"Sweep on {result.dataset}: {', '.join(result.varied)}",
        result=result,
        chosen=result.rows[result.chosen.row] if result.chosen else None,
        counts=_counts(result),
        command=command.split(" "),
        config={} if result.chosen is None else result.chosen.config,
        sections=sections,
    )
    write_page(html, [part for _, _, parts in sections for part in parts], out)
    return out


def _counts(result: Result) -> list[tuple[str, int]]:
    states = [row.state for row in result.rows]
    return [(state, states.count(state)) for state in dict.fromkeys(states)]


def _table(result: Result) -> Part:
    def rank(row_place: int) -> float:
        found = result.rows[row_place].validation_auroc
        return -1.0 if found is None else found["value"] or 0.0

    order = sorted(range(len(result.rows)), key=rank, reverse=True)
    rows = []
    for place in order[:SHOWN]:
        row = result.rows[place]
        accuracy = "–" if row.validation_accuracy is None else f"{row.validation_accuracy['value']:.3f}"
        epochs = ", ".join(map(str, row.best_epochs)) or "–"
        rows.append(TableRow([row.words, state_text(row), accuracy, epochs, f"{row.seconds / 60:.1f} min"]))
    more = f" The first {SHOWN} of {len(order)} are shown; the CSV has all." if len(order) > SHOWN else ""
    table = Table(["Configuration", "Validation AUROC", "Accuracy at .5", "Best epoch", "Time"], rows)
    ordered = [result.rows[place] for place in order]
    numbers: dict[str, list[Any]] = {
        "configuration": [row.words for row in ordered],
        "state": [row.state for row in ordered],
        **estimate_columns("validation_auroc", [row.validation_auroc for row in ordered]),
        **estimate_columns("validation_accuracy", [row.validation_accuracy for row in ordered]),
    }
    caption = (
        "Best first. Ranges are 95 % intervals of the mean over seeds, where there are several; they know nothing of "
        f"other images. Differences of a hundredth are chance.{more}"
    )
    return Part("configurations", "All configurations", caption, table=table, numbers=numbers)


def _worth(result: Result, chosen: Chosen) -> Part:
    row = result.rows[chosen.row]
    corrected = chosen.corrected
    rows = [TableRow(["Validation, as chosen", estimate_text(row.validation_auroc), "flatters: it was chosen by it"])]
    if corrected.value is not None:
        rows.append(
            TableRow(
                [
                    "Validation, corrected",
                    f"{corrected.value:.3f}",
                    f"{corrected.optimism:.3f} less: chosen on lesions drawn at random, judged on the others",
                ]
            )
        )
    if len(chosen.test) > 1:
        rows.append(TableRow(["Test, mean over seeds", estimate_text(chosen.test_over_seeds), "interval over seeds"]))
    for name, found in zip(row.trials, chosen.test, strict=True):
        rows.append(TableRow(["Test", estimate_text(found), f"{name}, interval over lesions"]))
    caption = (
        "Test images were looked at for the chosen configuration alone. That each trial is taken at its best epoch on "
        "the validation images flatters its validation figure a little more, which the correction does not take out."
    )
    numbers = {
        "figure": ["validation", *["test"] * len(chosen.test)],
        **estimate_columns("auroc", [row.validation_auroc, *chosen.test]),
    }
    return Part(
        "chosen",
        f"The chosen one: {row.words}",
        caption,
        table=Table(["AUROC", "Value", "What it is"], rows),
        numbers=numbers,
        lead=f"Its validation AUROC {correction_text(result)}." if corrected.value is None else "",
    )
