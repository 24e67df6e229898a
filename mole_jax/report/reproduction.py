"""The paper's numbers beside those of finished runs, protocol by protocol: as data, for the terminal, as Markdown."""

import json
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mole_jax.data.protocols import PROTOCOLS
from mole_jax.evaluation.paper_results import Reading, read_paper_results
from mole_jax.evaluation.table import WIDTH, grid
from mole_jax.report.parts import figure_text
from mole_jax.report.runs import Run, read_runs
from mole_jax.report.tables import COLUMNS, PAPER_MODELS, READINGS

Figures = dict[str, dict[str, Any]]
CELL = 13  # characters of a column on the terminal

# What is wrong with figures on each protocol, for a reader who has not read the code.
WORDS: Final = {
    "paper": "the paper's way: melanomas copied (turned, shifted, zoomed) until there are as many as moles, then split "
    "at random, so that nearly every melanoma of the test has been seen in training, and only melanomas are copies",
    "paper_by_lesion": "the same images, but no lesion lies in two splits; still only melanomas are copies, in the "
    "test too, and a model may learn to tell copies from photographs",
    "paper_clean": "no lesion in two splits, copies in training only; judged by untouched photographs, half of them "
    "melanomas",
    "grouped": "no lesion in two splits, no copies; judged by untouched photographs, with as few melanomas among them "
    "as the source has",
}


@dataclass(frozen=True)
class Attempt:
    """One run that the comparison wants.

    Attributes:
        model: a key of PAPER_MODELS.
        label: the model and what differs from its recipe, for people.
        protocol: of its dataset.
        run_dir: its directory.
        missing: why it is not to be read, "" where it is finished.
    """

    model: str
    label: str
    protocol: str
    run_dir: Path
    missing: str = ""


@dataclass(frozen=True)
class Line:
    """One line of the comparison: what one source says of one model on test images.

    Attributes:
        label: of the model.
        source: "printed", "corrected" or a protocol.
        name: of the source, for people; says so where its figures flatter.
        figures: accuracy, precision, sensitivity, specificity, f1, auroc, as in metrics.json; empty where missing.
        missing: why there are none.
        run: that they come from; None for the paper and where missing.
    """

    label: str
    source: str
    name: str
    figures: Figures = field(default_factory=dict)
    missing: str = ""
    run: Run | None = None


@dataclass(frozen=True)
class Comparison:
    """All lines, model by model: the paper's two readings, then the protocols in their order."""

    dataset: str
    scale: str
    protocols: Sequence[str]
    lines: Sequence[Line]

    @property
    def models(self) -> dict[str, list[Line]]:
        """The lines of each model's label."""
        labels = dict.fromkeys(line.label for line in self.lines)
        return {label: [line for line in self.lines if line.label == label] for label in labels}

    @property
    def runs(self) -> list[Run]:
        """The finished ones."""
        return [line.run for line in self.lines if line.run is not None]


def read_comparison(attempts: Sequence[Attempt], *, dataset: str, scale: str) -> Comparison:
    """Reads the finished runs and puts the paper's numbers before them.

    Args:
        attempts: in the order in which they are to be shown within their model.
        dataset: the name that the protocols' datasets share.
        scale: what was asked for, for the page's title.

    Raises:
        UserError: a run that should be finished cannot be read.
    """
    finished = [attempt for attempt in attempts if not attempt.missing]
    read = read_runs([attempt.run_dir for attempt in finished], None) if finished else []
    runs = dict(zip([attempt.run_dir for attempt in finished], read, strict=True))
    lines: list[Line] = []
    for label in dict.fromkeys(attempt.label for attempt in attempts):
        of_label = [attempt for attempt in attempts if attempt.label == label]
        lines += [_paper(label, of_label[0].model, reading) for reading in ("printed", "corrected")]
        lines += [_ours(attempt, runs.get(attempt.run_dir)) for attempt in of_label]
    return Comparison(dataset, scale, list(dict.fromkeys(attempt.protocol for attempt in attempts)), lines)


def format_comparison(comparison: Comparison) -> str:
    """For the terminal, at most 108 characters wide: values over their 95 % intervals."""
    blocks = []
    for label, lines in comparison.models.items():
        rows = {line.name: line.figures for line in lines if line.figures}
        blocks.append("\n".join(row.rstrip() for row in grid(label, COLUMNS, rows, cell=CELL)))
        if missing := "; ".join(f"{line.name}: {line.missing}" for line in lines if line.missing):
            blocks.append("\n".join(textwrap.wrap(missing, WIDTH)))
    notes = [
        "On test images, at the threshold with the best accuracy on validation; below each value its 95 % interval.",
        *(f"{name}: {words}." for name, words in _words(comparison).items()),
        "None of this says anything about anybody's skin: it is not a medical device.",
    ]
    wrapped = [line for note in notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="    ")]
    return "\n\n".join([*blocks, "\n".join(wrapped)])


def format_markdown(comparison: Comparison) -> str:
    """One Markdown table, for RESULTS.md."""
    lines = [
        "| model | data | epochs | " + " | ".join(head.lower() if head.islower() else head for head in COLUMNS) + " |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for label, of_model in comparison.models.items():
        for i, line in enumerate(of_model):
            cells = [figure_text(line.figures.get(key)) for key in COLUMNS.values()] if line.figures else [line.missing]
            cells += [""] * (len(COLUMNS) - len(cells))
            lines.append("| " + " | ".join([label if not i else "", line.name, epochs_of(line), *cells]) + " |")
    return "\n".join(lines) + "\n"


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Everything as plain JSON values: `protocols` with what they hold, `lines` with figures or why there are none."""
    protocols = {}
    for protocol in comparison.protocols:
        run = next((line.run for line in comparison.lines if line.source == protocol and line.run), None)
        if run is not None:
            splits = run.metrics["splits"]
            protocols[protocol] = {
                "dataset": run.config["dataset"],
                "fingerprint": run.environment["dataset_fingerprint"],
                "leaky": run.metrics["leaky"],
                "leak": run.metrics.get("leak", ""),
                "splits": {
                    name: {key: split[key] for key in ("images", "positives")} for name, split in splits.items()
                },
            }
    return {
        "dataset": comparison.dataset,
        "scale": comparison.scale,
        "protocols": protocols,
        "lines": [
            {
                "model": line.label,
                "source": line.source,
                "missing": line.missing,
                "run": None if line.run is None else line.run.path.name,
                "epochs": None if line.run is None else line.run.config["epochs"],
                "figures": line.figures,
            }
            for line in comparison.lines
        ],
    }


def write_texts(comparison: Comparison, folder: Path) -> None:
    """Writes reproduction.json and reproduction.md."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(to_json(comparison), indent=2, allow_nan=False) + "\n"
    (folder / "reproduction.json").write_text(text, encoding="utf-8")
    (folder / "reproduction.md").write_text(format_markdown(comparison), encoding="utf-8")


def epochs_of(line: Line) -> str:
    """For how many epochs the line's run was trained, "" for the paper's."""
    return "" if line.run is None else str(line.run.config["epochs"])


def _words(comparison: Comparison) -> dict[str, str]:
    return {protocol: WORDS[protocol] for protocol in comparison.protocols}


def _paper(label: str, model: str, reading: Reading) -> Line:
    row = next(row for row in read_paper_results(reading) if row.model == PAPER_MODELS[model] and row.split == "test")
    figures = {key: {"value": getattr(row, key), "low": None, "high": None} for key in COLUMNS.values()}
    return Line(label, reading, READINGS[reading], figures)


def _ours(attempt: Attempt, run: Run | None) -> Line:
    if run is None:
        name = _name(attempt.protocol, leaky=PROTOCOLS[attempt.protocol].leaky)
        return Line(attempt.label, attempt.protocol, name, missing=attempt.missing)
    test = run.metrics["splits"]["test"]
    found = {**test["operating_points"][run.main], "auroc": test["auroc"]}
    name = _name(attempt.protocol, leaky=run.metrics["leaky"])
    # On this page runs are known by model and protocol, not by their directories.
    named = replace(run, name=f"{attempt.label}, {name.removeprefix('ours, ')}")
    return Line(attempt.label, attempt.protocol, name, {key: found[key] for key in COLUMNS.values()}, run=named)


def _name(protocol: str, *, leaky: bool) -> str:
    return f"ours, {protocol} (leaky)" if leaky else f"ours, {protocol}"
