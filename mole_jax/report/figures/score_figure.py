"""Histograms of the scores of melanomas and of the other images."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from matplotlib.axes import Axes

from mole_jax.report.figures.drawing import BLUE, INK, VERMILLION, draw
from mole_jax.report.figures.roc_figure import point_name, shown_points
from mole_jax.report.parts import Panel, Part
from mole_jax.runs.read import Run

BINS = 30
# A network that has died gives one score, up to rounding; 30 bins within less than this cannot be told apart.
ONE_SCORE = 1e-9


def score_figure(runs: Sequence[Run]) -> Part:
    """How far the scores of the classes lie apart on the test split."""
    drawn = [(run, *_histogram(run)) for run in runs]
    caption = (
        "The less the two shapes overlap, the better. Melanomas (line) to the left of a threshold are missed, other "
        "images (filled) to the right of it are false alarms. Each class adds up to 1, however rare it is; the axis "
        "spans the scores that occur."
    )
    numbers: dict[str, list[Any]] = {
        "run": [run.name for run, edges, _, _ in drawn for _ in edges[1:]],
        "from": [float(edge) for _, edges, _, _ in drawn for edge in edges[:-1]],
        "to": [float(edge) for _, edges, _, _ in drawn for edge in edges[1:]],
        "not_melanoma": [int(count) for _, _, others, _ in drawn for count in others],
        "melanomas": [int(count) for _, _, _, melanomas in drawn for count in melanomas],
    }
    panels = [_panel(run, edges, others, melanomas) for run, edges, others, melanomas in drawn]
    return Part("scores", "Scores", caption, panels, numbers=numbers)


def _histogram(run: Run) -> tuple[Float[np.ndarray, " edges"], Integer[np.ndarray, " b"], Integer[np.ndarray, " b"]]:
    score, label = run.test.score, run.test.label
    edges = _edges(score)
    return edges, np.histogram(score[label == 0], edges)[0], np.histogram(score[label == 1], edges)[0]


def _edges(score: Float[np.ndarray, " n"]) -> Float[np.ndarray, " edges"]:
    low, high = float(score.min()), float(score.max())
    if high - low < ONE_SCORE:
        low, high = low - 0.5, high + 0.5
    return np.linspace(low, high, BINS + 1)


def _panel(
    run: Run,
    edges: Float[np.ndarray, " edges"],
    others: Integer[np.ndarray, " b"],
    melanomas: Integer[np.ndarray, " b"],
) -> Panel:
    name = f"scores-{run.key}"
    points = shown_points(run)

    def plot(axes: Axes) -> None:
        shares = [counts / max(counts.sum(), 1) for counts in (others, melanomas)]
        axes.stairs(shares[0], edges, fill=True, color=BLUE, alpha=0.4, label=f"{others.sum():,} not melanoma")
        axes.stairs(shares[1], edges, color=VERMILLION, lw=1.8, label=f"{melanomas.sum():,} melanomas")
        for point, dashes in zip(points, ("--", ":"), strict=False):
            threshold, label = run.at[point]["threshold"], f"threshold: {point_name(point)}"
            axes.axvline(threshold, color=INK, linestyle=dashes, lw=1.2, label=label)
        axes.set_xlabel("score")
        axes.set_ylabel("share of the class")
        axes.set_ylim(bottom=0)

    said = [
        f"{what} score {np.median(run.test.score[run.test.label == label]):.3f} in the median"
        for label, what in enumerate(("other images", "melanomas"))
        if (run.test.label == label).any()
    ]
    return Panel(name, f"Histogram of test scores: {'; '.join(said)}.", draw(name, plot), label=run.name)
