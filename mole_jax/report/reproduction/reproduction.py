"""The paper's numbers beside those of finished runs, protocol by protocol."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from mole_jax.data.prepare.protocols import PROTOCOLS
from mole_jax.evaluation.paper_results import Reading, read_paper_results
from mole_jax.evaluation.table import PAPERS
from mole_jax.report.parts import Part
from mole_jax.report.reproduction.grid_table import grid_table
from mole_jax.report.tables import COLUMNS, PAPER_MODELS, READINGS
from mole_jax.runs.read import Run, read_runs

Figures = dict[str, dict[str, Any]]

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
    grids: Sequence[Attempt] = ()

    @property
    def models(self) -> dict[str, list[Line]]:
        """The lines of each model's label."""
        labels = dict.fromkeys(line.label for line in self.lines)
        return {label: [line for line in self.lines if line.label == label] for label in labels}

    @property
    def runs(self) -> list[Run]:
        """The finished ones."""
        return [line.run for line in self.lines if line.run is not None]


def read_comparison(
    attempts: Sequence[Attempt], *, dataset: str, scale: str, grids: Sequence[Attempt] = ()
) -> Comparison:
    """Reads the finished runs and puts the paper's numbers before them.

    Args:
        attempts: in the order in which they are to be shown within their model.
        dataset: the name that the protocols' datasets share.
        scale: what was asked for, for the page's title.
        grids: the sweeps of the logistic regression's settings, with a sweep.json each.

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
    protocols = list(dict.fromkeys(attempt.protocol for attempt in (*attempts, *grids)))
    return Comparison(dataset, scale, protocols, lines, grids)


def grid_parts(comparison: Comparison) -> list[Part]:
    """The grid of each protocol that one was planned for."""
    parts = []
    for attempt in comparison.grids:
        name = _name(attempt.protocol, leaky=PROTOCOLS[attempt.protocol].leaky)
        title = f"Learning rate and batch size, {name.removeprefix('ours, ')}"
        anchor = f"grid-{attempt.protocol}"
        if attempt.missing:
            parts.append(Part(anchor, title, "", missing=f"The grid is missing: {attempt.missing}."))
        else:
            parts.append(grid_table(attempt.run_dir / "sweep.json", name=anchor, title=title))
    return parts


def epochs_of(line: Line) -> int | None:
    """For how many epochs the line's run was to be trained, fine-tuning included; None for the paper's."""
    return None if line.run is None else line.run.config["epochs"] + line.run.config.get("finetune_epochs", 0)


def _paper(label: str, model: str, reading: Reading) -> Line:
    row = next(row for row in read_paper_results(reading) if row.model == PAPER_MODELS[model] and row.split == "test")
    figures = {key: {"value": getattr(row, key), "low": None, "high": None} for key in COLUMNS.values()}
    return Line(label, reading, READINGS[reading], figures)


def _ours(attempt: Attempt, run: Run | None) -> Line:
    if run is None:
        name = _name(attempt.protocol, leaky=PROTOCOLS[attempt.protocol].leaky)
        return Line(attempt.label, attempt.protocol, name, missing=attempt.missing)
    test = run.metrics["splits"]["test"]
    found = {**test["operating_points"][PAPERS], "auroc": test["auroc"]}
    name = _name(attempt.protocol, leaky=run.metrics["leaky"])
    # On this page runs are known by model and protocol, not by their directories.
    named = replace(run, name=f"{attempt.label}, {name.removeprefix('ours, ')}")
    return Line(attempt.label, attempt.protocol, name, {key: found[key] for key in COLUMNS.values()}, run=named)


def _name(protocol: str, *, leaky: bool) -> str:
    return f"ours, {protocol} (leaky)" if leaky else f"ours, {protocol}"
