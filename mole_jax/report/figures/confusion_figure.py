"""Confusion matrices of the test split at two frozen thresholds."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from mole_jax.evaluation.table import threshold_text
from mole_jax.report.figures.drawing import BLUE, draw
from mole_jax.report.figures.roc_figure import NO_THRESHOLD, point_name, shown_points
from mole_jax.report.parts import Panel, Part
from mole_jax.runs.read import Run

NOT, MELANOMA = CLASSES = ("not melanoma", "melanoma")
CELLS = {"tp": (MELANOMA, MELANOMA), "fn": (MELANOMA, NOT), "fp": (NOT, MELANOMA), "tn": (NOT, NOT)}


def confusion_figure(runs: Sequence[Run]) -> Part:
    """What became of the melanomas and of the other images."""
    shown = [(run, point) for run in runs for point in shown_points(run)]
    if not shown:
        return Part("confusion", "Confusion matrices", "", missing=NO_THRESHOLD)
    rows = [(run.name, point, *CELLS[cell], run.at[point]["confusion"][cell]) for run, point in shown for cell in CELLS]
    heads = ("run", "operating_point", "truth", "called", "images")
    caption = (
        "Read along a row: of the true melanomas, how many are called melanoma? The cell to fear is the melanoma "
        "that is called none. Percentages are of the row; the shade follows them."
    )
    numbers = dict(zip(heads, map(list, zip(*rows, strict=True)), strict=True))
    panels = [_panel(run, point) for run, point in shown]
    return Part("confusion", "Confusion matrices", caption, panels, numbers=numbers)


def _panel(run: Run, point: str) -> Panel:
    name = f"confusion-{run.key}-{point}"
    cells = run.at[point]["confusion"]
    table = [[cells["tn"], cells["fp"]], [cells["fn"], cells["tp"]]]

    def plot(axes: Axes) -> None:
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for row, counts in enumerate(table):
            for column, count in enumerate(counts):
                share = count / sum(counts) if sum(counts) else 0.0
                across = [column - 0.48, column + 0.48]
                axes.fill_between(across, row - 0.48, row + 0.48, color=BLUE, alpha=0.06 + 0.44 * share, lw=0)
                axes.text(column, row + 0.06, f"{count:,}", ha="center", va="bottom", fontsize=15)
                axes.text(column, row - 0.08, f"{share:.1%}" if sum(counts) else "–", ha="center", va="top")
        axes.set_xticks([0, 1], CLASSES)
        axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")
        axes.set_xlabel("called")
        axes.set_ylabel("truth")
        axes.set_xlim(-0.5, 1.5)
        axes.set_ylim(-0.5, 1.5)

    folds = run.metrics["operating_points"][point].get("folds")
    threshold = "cross-fitted" if folds else threshold_text(run.at[point]["threshold"])
    alt = (
        f"Threshold {threshold}: of {cells['tp'] + cells['fn']} melanomas {cells['tp']} are found and {cells['fn']} "
        f"missed; of {cells['tn'] + cells['fp']} other images {cells['fp']} are called melanoma."
    )
    label = f"{run.name}: {point_name(point)}, threshold {threshold}"
    return Panel(name, alt, draw(name, plot, size=(4.0, 2.9)), label=label)
