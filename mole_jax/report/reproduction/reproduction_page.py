"""The page of a reproduction: how far the paper's numbers hold once its data set's faults are mended."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes

from mole_jax.report.figures.drawing import BLUE, GREEN, GREY, INK, ORANGE, PURPLE, VERMILLION, draw
from mole_jax.report.figures.roc_figure import roc_figure
from mole_jax.report.figures.training_figure import training_figures
from mole_jax.report.figures.weight_figure import weight_figure
from mole_jax.report.files import refuse_foreign_page, write_page
from mole_jax.report.parts import Panel, Part, Row, Table, estimate_columns, estimate_text
from mole_jax.report.render import render
from mole_jax.report.reproduction.reproduction import WORDS, Comparison, Line, epochs_of, grid_parts
from mole_jax.report.reproduction.reproduction_texts import write_texts
from mole_jax.report.tables import COLUMNS

LOOKS = {
    "printed": (INK, "X"),
    "paper": (VERMILLION, "o"),
    "paper_by_lesion": (ORANGE, "s"),
    "paper_clean": (BLUE, "D"),
    "grouped": (GREEN, "^"),
}
TABLE_CAPTION = (
    "Test images, at the threshold with the best accuracy on validation. Where melanomas are rare (grouped) that "
    "threshold calls nearly nothing melanoma: compare AUROC then. The paper printed sensitivity, precision and "
    "negative predictive value in each other's columns; the second line has them put right."
)
SETTINGS = ("batch_size", "optimizer", "learning_rate", "bn_momentum", "normalize", "balance", "seed")
OTHER_LOOK = (PURPLE, "v")
LINE_HEIGHT = 0.17  # inches a line of the headline figure


@dataclass(frozen=True)
class Warned:
    """A protocol whose figures flatter."""

    name: str
    words: str
    leak: str


def write_comparison(comparison: Comparison, folder: Path) -> Path:
    """Writes `report.html`, its figures and numbers, reproduction.json and reproduction.md into a folder.

    Returns:
        The page.
    """
    sections = _sections(comparison)
    out = folder / "report.html"
    refuse_foreign_page(out)
    write_texts(comparison, folder)
    write_page(_render(comparison, sections, out.parent), [part for _, _, parts in sections for part in parts], out)
    return out


def _sections(comparison: Comparison) -> list[tuple[str, str, Sequence[Part]]]:
    runs = comparison.runs
    several = [run for run in runs if len(run.epochs) > 1]
    logistic = [run for run in runs if run.config["model"] == "logistic"]
    tables = [_model_table(label, lines, i) for i, (label, lines) in enumerate(comparison.models.items())]
    why = "No finished run has more than one epoch, so there is no curve to draw."
    training = training_figures(several) if several else [Part("training", "Training", "", missing=why)]
    headline = [_headline_figure(comparison), _headline_table(comparison)] if comparison.lines else []
    found = [
        ("auroc", "How much of it holds?", headline),
        ("table", "The paper's table of metrics (its Fig. 5)", tables),
        ("grid", "The logistic regression's settings (tuned in the paper's text)", grid_parts(comparison)),
        ("roc-curves", "ROC curves (its Fig. 4)", _roc_figures(comparison)),
        ("by-epoch", "Loss and accuracy by epoch (its Fig. 3)", training),
        ("weights", "What the logistic regression looks at (its Fig. 2)", [weight_figure(run) for run in logistic]),
    ]
    return [section for section in found if section[2]]


def _render(comparison: Comparison, sections: list[tuple[str, str, Sequence[Part]]], folder: Path) -> str:
    leaky = {line.source: line.run for line in comparison.lines if line.run and line.run.metrics["leaky"]}
    return render(
        "reproduction.html",
        title=f"Mole or Melanoma, reproduced on {comparison.dataset}",
        scale=comparison.scale,
        warned=[Warned(name, WORDS[name], run.metrics.get("leak", "")) for name, run in leaky.items()],
        words={name: WORDS[name] for name in comparison.protocols},
        synthetic=any(run.synthetic for run in comparison.runs),
        missing=[line for line in comparison.lines if line.missing],
        sections=sections,
        settings=SETTINGS,
        runs=[(run, _link(run.path, folder)) for run in comparison.runs],
        photographs=any(panel.kind == "jpeg" for _, _, parts in sections for part in parts for panel in part.panels),
    )


def _headline_figure(comparison: Comparison) -> Part:
    title = "AUROC on the test images, protocol by protocol"
    groups = {
        label: [line for line in lines if line.source != "corrected" and line.figures]
        for label, lines in comparison.models.items()
    }
    drawn: list[tuple[float, Line]] = []
    ticks: list[tuple[float, str]] = []
    top = 0.0
    for label, lines in groups.items():
        places = [top + i for i in range(len(lines))]
        ticks.append((sum(places) / len(places), label.replace(", ", "\n", 1)))
        drawn += zip(places, lines, strict=True)
        top = max(places[-1] + 2, places[0] + 3.5)

    bounds = [line.figures["auroc"][key] for _, line in drawn for key in ("value", "low")]
    lowest = min((bound for bound in bounds if bound is not None), default=0.5)

    def plot(axes: Axes) -> None:
        named: set[str] = set()
        for y, line in drawn:
            estimate = line.figures["auroc"]
            color, marker = LOOKS.get(line.source, OTHER_LOOK)
            if estimate["value"] is None:
                continue
            if estimate["low"] is not None:
                axes.plot([estimate["low"], estimate["high"]], [y, y], color=color, linewidth=1.2)
            hollow = "(leaky)" in line.name
            axes.plot(
                [estimate["value"]],
                [y],
                marker,
                color=color,
                markerfacecolor="none" if hollow else color,
                markersize=5,
                label=None if line.name in named else line.name,
            )
            named.add(line.name)
        axes.axvline(0.5, color=GREY, linestyle=":")
        axes.set_yticks([y for y, _ in ticks], [label for _, label in ticks])
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        axes.set_xlim(min(0.45, lowest - 0.02), 1.01)
        axes.set_ylim(top - 1, -1)
        axes.set_xlabel("AUROC (0.5 is guessing, 1 is perfect)")

    texts = "; ".join(f"{line.label}, {line.name}: {estimate_text(line.figures['auroc'])}" for _, line in drawn)
    panel = Panel(
        "auroc-by-protocol",
        f"AUROC with 95% intervals. {texts}.",
        draw("auroc-by-protocol", plot, size=(4.8, 0.7 + LINE_HEIGHT * top)),
    )
    caption = (
        "Each mark is one model, trained and tested on one way of building the data set; lines are 95% intervals that "
        "count the images of a lesion together. Hollow marks are leaky: the test gives the answer away, so they say "
        "nothing of new patients. Read from the cross (what the paper printed) and the hollow circle (the paper's way, "
        "repeated) to the filled marks: that distance is what the data set's faults are worth. The interval covers "
        "chance in the choice of test lesions, not in training: each run is one seed."
    )
    numbers: dict[str, list[Any]] = {
        "model": [line.label for _, line in drawn],
        "source": [line.source for _, line in drawn],
        **estimate_columns("auroc", [line.figures["auroc"] for _, line in drawn]),
    }
    return Part("auroc-by-protocol", title, caption, [panel], numbers=numbers, layout="wide")


def _headline_table(comparison: Comparison) -> Part:
    sources = ["printed", *comparison.protocols]
    names = {line.source: line.name for line in comparison.lines}
    rows, numbers = [], {"model": [], **{source: [] for source in sources}}  # type: ignore[var-annotated]
    for label, lines in comparison.models.items():
        of_source = {line.source: line for line in lines}
        rows.append(Row([label, *(_cell(of_source.get(source), "auroc") for source in sources)]))
        numbers["model"].append(label)
        for source in sources:
            line = of_source.get(source)
            numbers[source].append(line.figures["auroc"]["value"] if line and line.figures else None)
    caption = "The same numbers. The paper's AUROC does not depend on how its columns are read."
    table = Table(["AUROC", *(names[source] for source in sources)], rows)
    return Part("auroc-table", "AUROC side by side", caption, table=table, numbers=numbers)


def _model_table(label: str, lines: Sequence[Line], index: int) -> Part:
    rows = []
    for line in lines:
        kind = "paper" if line.run is None and line.figures else "leaky-row" if "(leaky)" in line.name else ""
        epochs = f", epochs: {epochs_of(line)}" if line.run else ""
        cells = [_cell(line, key) for key in COLUMNS.values()] if line.figures else [line.missing, "", "", "", "", ""]
        rows.append(Row([line.name + epochs, *cells], kind))
    drawn = [line for line in lines if line.figures]
    numbers: dict[str, list[Any]] = {"source": [line.source for line in drawn]}
    for key in COLUMNS.values():
        numbers |= estimate_columns(key, [line.figures[key] for line in drawn])
    caption = "" if index else TABLE_CAPTION
    return Part(f"metrics-{index}", label, caption, table=Table(["", *COLUMNS], rows), numbers=numbers)


def _roc_figures(comparison: Comparison) -> list[Part]:
    parts: list[Part] = []
    for protocol in comparison.protocols:
        lines = [line for line in comparison.lines if line.source == protocol and line.run]
        runs = [replace(line.run, name=line.label) for line in lines if line.run]
        if runs:
            leaky = " (leaky)" if runs[0].metrics["leaky"] else ""
            part = roc_figure(runs, name=f"roc-{protocol}", title=f"ROC curves, {protocol}{leaky}")
            parts.append(replace(part, caption="") if parts else part)  # once is enough
    return parts


def _cell(line: Line | None, key: str) -> str:
    if line is None:
        return "–"
    return estimate_text(line.figures[key]) if line.figures else line.missing.split(":")[0]


def _link(run: Path, folder: Path) -> str:
    """From the page to a run's own report, relative, so that both may be moved together; "" where it has none."""
    report = run / "report.html"
    return Path(os.path.relpath(report.resolve(), folder.resolve())).as_posix() if report.is_file() else ""
