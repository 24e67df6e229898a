"""Confusion matrices of the test split at two frozen thresholds."""

from matplotlib.axes import Axes

from mole_jax.report.drawing import BLUE, draw
from mole_jax.report.parts import Panel, Part
from mole_jax.report.roc_figure import point_name
from mole_jax.report.runs import Run

CLASSES = ("mole", "melanoma")


def confusion_figure(run: Run) -> Part:
    """What became of the melanomas and the moles."""
    name = f"confusion-{run.key}"
    points = list(dict.fromkeys((run.main, run.screening)))
    rows = [
        (point, truth, called, run.at[point]["confusion"][cell])
        for point in points
        for truth, called, cell in (
            ("melanoma", "melanoma", "tp"),
            ("melanoma", "mole", "fn"),
            ("mole", "melanoma", "fp"),
            ("mole", "mole", "tn"),
        )
    ]
    numbers = dict(zip(("operating_point", "truth", "called", "images"), map(list, zip(*rows, strict=True)), strict=True))
    caption = (
        "Read along a row: of the true melanomas, how many are called melanoma? The cell to fear is the melanoma that is "
        "called a mole. Percentages are of the row; the shade follows them."
    )
    return Part(
        name,
        f"Confusion matrices: {run.name}",
        caption,
        [_panel(run, name, point) for point in points],
        numbers=numbers,
    )


def _panel(run: Run, name: str, point: str) -> Panel:
    cells = run.at[point]["confusion"]
    table = [[cells["tn"], cells["fp"]], [cells["fn"], cells["tp"]]]

    def plot(axes: Axes) -> None:
        axes.grid(False)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for row, counts in enumerate(table):
            for column, count in enumerate(counts):
                share = count / sum(counts) if sum(counts) else 0.0
                axes.fill_between(
                    [column - 0.48, column + 0.48], row - 0.48, row + 0.48, color=BLUE, alpha=0.06 + 0.44 * share, lw=0
                )
                axes.text(column, row + 0.06, f"{count:,}", ha="center", va="bottom", fontsize=15)
                axes.text(column, row - 0.08, f"{share:.1%}" if sum(counts) else "–", ha="center", va="top")
        axes.set_xticks([0, 1], CLASSES)
        axes.set_yticks([0, 1], CLASSES, rotation=90, va="center")
        axes.set_xlabel("called")
        axes.set_ylabel("truth")
        axes.set_xlim(-0.5, 1.5)
        axes.set_ylim(-0.5, 1.5)

    alt = (
        f"Threshold {run.at[point]['threshold']:.4f}: of {cells['tp'] + cells['fn']} melanomas {cells['tp']} are found and "
        f"{cells['fn']} missed; of {cells['tn'] + cells['fp']} moles {cells['fp']} are called melanoma."
    )
    label = f"{point_name(point)}, threshold {run.at[point]['threshold']:.4f}"
    return Panel(f"{name}-{point}", alt, draw(f"{name}-{point}", plot, size=(4.0, 2.9)), label=label)
