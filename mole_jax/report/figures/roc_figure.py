"""The ROC curves of all runs with their operating points, and the part that matters for screening (Fig. 4)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.metrics import roc_curve
from mole_jax.report.figures.drawing import GREY, INK, draw, series, shortened
from mole_jax.report.parts import Panel, Part, interval_text
from mole_jax.runs.read import Run

MARKERS = {"accuracy": "o", "youden": "D", "sensitivity_0.9": "^", "sensitivity_0.95": "s", "sensitivity_0.98": "P"}
OTHER_MARKER = "X"
NO_THRESHOLD = "There is no threshold to judge: no validation predictions, and too few lesions to cross-fit one."
ZOOM = 0.8

Curve = tuple[np.ndarray, np.ndarray, np.ndarray]  # false alarm rate, sensitivity, threshold


def roc_figure(runs: Sequence[Run], *, name: str = "roc", title: str = "ROC curves on the test images") -> Part:
    """Sensitivity over the false alarm rate on the test split."""
    drawn = [run for run in runs if 0 < run.test.label.sum() < run.test.n]
    if not drawn:
        return Part(name, title, "", missing="The test images are all of one class, so there is no ROC curve.")
    curves: dict[str, Curve] = {run.key: curve_of(run.test) for run in drawn}

    def plot(axes: Axes, zoom: bool) -> None:
        for run, look in zip(drawn, series(), strict=False):
            false_alarms, sensitivity, _ = curves[run.key]
            label = f"{shortened(run.name)}, AUROC {interval_text(run.metrics['splits']['test']['auroc'])}"
            axes.plot(false_alarms, sensitivity, look.linestyle, color=look.color, label=None if zoom else label)
            for name, at in run.at.items():
                if at["threshold"] is None:
                    continue
                x, y = 1 - at["specificity"]["value"], at["sensitivity"]["value"]
                if not zoom or y >= ZOOM:
                    axes.plot(x, y, MARKERS.get(name, OTHER_MARKER), color=look.color, markersize=6, clip_on=False)
        if zoom:
            for name in dict.fromkeys(name for run in drawn for name in run.at):
                marker = MARKERS.get(name, OTHER_MARKER)
                axes.plot([], [], marker, color=INK, label=point_name(name))
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (1, 3)), label=None if zoom else "chance")
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(ZOOM if zoom else -0.01, 1.005 if zoom else 1.01)
        axes.set_xlabel("1 − specificity (others called melanoma)")
        axes.set_ylabel("sensitivity (melanomas found)")

    aurocs = "; ".join(f"{run.name} {interval_text(run.metrics['splits']['test']['auroc'])}" for run in drawn)
    panels = [
        Panel(
            f"{name}-full",
            f"ROC curves. AUROC with 95% interval: {aurocs}.",
            draw(f"{name}-full", lambda axes: plot(axes, False), size=(4.4, 4.0)),
            label="the whole curve",
        ),
        Panel(
            f"{name}-zoom",
            "The same curves above 80% sensitivity. " + " ".join(_screening_text(run) for run in drawn),
            draw(f"{name}-zoom", lambda axes: plot(axes, True), size=(4.4, 4.0)),
            label="above 80% sensitivity",
        ),
    ]
    caption = (
        "Up and left is better; the dotted diagonal is guessing. For melanoma look at the right panel: how many false "
        "alarms does it cost to find nearly all? The marks are thresholds that were chosen on other images, so on "
        "the test images they need not reach the sensitivity that they aimed at."
    )
    return Part(name, title, caption, panels, numbers=_numbers(drawn, curves))


def point_name(name: str) -> str:
    """The name of an operating point for people."""
    known = {"accuracy": "best accuracy", "youden": "Youden", "given": "given"}
    if name.startswith("sensitivity_"):
        return f"target sensitivity {_percent(name.removeprefix('sensitivity_'))}"
    if name.startswith("confident_"):
        return f"target sensitivity {_percent(name.removeprefix('confident_'))} with confidence"
    return known.get(name, name)


def _percent(share: str) -> str:
    """`0.975` as 97.5%, without digits that say nothing."""
    return f"{100 * float(share):.6g}%"


def main_at(run: Run) -> dict[str, Any]:
    """The test figures at the main threshold; `threshold` None and the reason where there is none."""
    none = {"threshold": None, "reason": "there is no threshold"}
    return run.at.get(run.main, none)


def chosen_text(runs: Sequence[Run]) -> str:
    """Where the thresholds of the runs come from, in a sentence; "" where there are none."""
    kinds = {point["chosen_on"] for run in runs for point in run.metrics["operating_points"].values()}
    words = {
        "validation": "Thresholds were chosen on validation and frozen.",
        "cross-fitted": (
            "Cross-fitted: no validation predictions were given, so each image is called by a threshold that was "
            "chosen on the other folds of the same file, whole lesions or patients in one fold."
        ),
        "given": "A threshold was given.",
    }
    return " ".join(text for kind, text in words.items() if kind in kinds)


def shown_points(run: Run) -> list[str]:
    """The operating points of drawings with room for few: the paper's and the main one."""
    return [name for name in dict.fromkeys(("accuracy", run.main)) if run.at.get(name, {}).get("threshold") is not None]


def _screening_text(run: Run) -> str:
    at = main_at(run)
    if at["threshold"] is None:
        return f"{run.name} has no threshold."
    return (
        f"{run.name} at the threshold for {point_name(run.main)}: sensitivity {interval_text(at['sensitivity'])}, "
        f"specificity {interval_text(at['specificity'])}."
    )


def curve_of(predictions: Predictions) -> Curve:
    """The curve of one split with both classes."""
    groups = group_images(predictions.group, predictions.label)
    return roc_curve(Counter(predictions.score, predictions.label, groups).as_they_are())


def _numbers(runs: Sequence[Run], curves: dict[str, Curve]) -> dict[str, list[Any]]:
    names = [run.name for run in runs for _ in curves[run.key][0]]
    columns = [np.concatenate([curves[run.key][i] for run in runs]).tolist() for i in range(3)]
    return {
        "run": names,
        "threshold": columns[2],
        "sensitivity": columns[1],
        "specificity": [1 - value for value in columns[0]],
    }
