"""Histograms of the scores of moles and melanomas."""

import numpy as np
from matplotlib.axes import Axes

from mole_jax.report.drawing import BLUE, INK, VERMILLION, draw
from mole_jax.report.parts import Panel, Part
from mole_jax.report.roc_figure import point_name
from mole_jax.report.runs import Run

BINS = 30


def score_figure(run: Run) -> Part:
    """How far the scores of the classes lie apart on the test split."""
    name = f"scores-{run.key}"
    edges = np.histogram_bin_edges(run.test.score, BINS)
    counts = {label: np.histogram(run.test.score[run.test.label == label], edges)[0] for label in (0, 1)}
    shares = {label: of / max(of.sum(), 1) for label, of in counts.items()}
    points = [point for point in dict.fromkeys((run.main, run.screening)) if run.at[point]["threshold"] is not None]

    def plot(axes: Axes) -> None:
        axes.stairs(shares[0], edges, fill=True, color=BLUE, alpha=0.35, label=f"{counts[0].sum():,} moles")
        axes.stairs(shares[1], edges, color=VERMILLION, lw=2, label=f"{counts[1].sum():,} melanomas")
        for point, style in zip(points, ("--", ":"), strict=False):
            axes.axvline(run.at[point]["threshold"], color=INK, linestyle=style, lw=1.2, label=f"threshold: {point_name(point)}")
        axes.set_xlabel("score")
        axes.set_ylabel("share of the class")
        axes.set_ylim(bottom=0)

    medians = [float(np.median(run.test.score[run.test.label == label])) if counts[label].sum() else None for label in (0, 1)]
    said = [f"{what} score {m:.3f} in the median" for what, m in zip(("moles", "melanomas"), medians, strict=True) if m is not None]
    caption = (
        "The less the two shapes overlap, the better. Melanomas (line) to the left of a threshold are missed, moles "
        "(filled) to the right of it are false alarms. Each class adds up to 1, however rare it is; the axis spans the "
        "scores that occur."
    )
    numbers = {
        "from": edges[:-1].tolist(),
        "to": edges[1:].tolist(),
        "moles": counts[0].tolist(),
        "melanomas": counts[1].tolist(),
    }
    alt = f"Histogram of test scores: {'; '.join(said)}."
    return Part(name, f"Scores: {run.name}", caption, [Panel(name, alt, draw(name, plot))], numbers=numbers)
