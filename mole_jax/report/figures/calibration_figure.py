"""Reliability curves before and after temperature and Platt scaling."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from mole_jax.report.figures.drawing import BLUE, GREEN, GREY, VERMILLION, band, draw
from mole_jax.report.parts import Panel, Part, Row, Table, estimate_columns, estimate_text, interval_text
from mole_jax.runs.read import Run

LOOKS = {
    "before": ("as given", BLUE, "-", "o"),
    "after_temperature": ("temperature-scaled", VERMILLION, "--", "s"),
    "after_platt": ("Platt-scaled", GREEN, "-.", "^"),
}
MEASURES = {
    "In the large": "in_the_large",
    "O:E": "observed_expected",
    "Slope": "slope",
    "Intercept beside it": "intercept",
    "Calibration error": "ece",
    "Brier": "brier",
    "Log loss": "log_loss",
}


def calibration_figure(runs: Sequence[Run]) -> Part:
    """Whether a score of 0.2 means a risk of 20%."""
    rows = [(run, key, row) for run in runs for key, curve in _curves(run).items() for row in curve["bins"]]
    numbers = {
        "run": [run.name for run, _, _ in rows],
        "scores": [LOOKS[key][0] for _, key, _ in rows],
        **{key: [row[key] for _, _, row in rows] for key in ("images", "positives", "mean_score")},
        **estimate_columns("observed", [row["observed"] for _, _, row in rows]),
    }
    images = sorted({row["images"] for _, _, row in rows})
    per_bin = f"{images[0]}" if len(images) == 1 else f"{images[0]} to {images[-1]}"
    caption = (
        "On the diagonal a score is a risk. Below it the model claims too much, above it too little; a model that "
        f"was trained on balanced batches claims too much. Each point is a bin of {per_bin} images with its 95% "
        "interval; the lines are restricted cubic splines of the logit with pointwise 95% bands. Temperature and Platt "
        f"scaling are {_fitted(runs)}. In the large: what would have to be added to every "
        "logit, the slope held at 1, to expect as many melanomas as there are (0 is right); O:E: melanomas observed "
        "over expected (1 is right). The slope, below 1 where scores are too extreme, and the intercept beside it come "
        "from one regression: that intercept says nothing of the large unless the slope is 1. The calibration error is "
        "freed of its upward drift, so that 0 is right."
    )
    panels = [
        calibration_panel(f"calibration-{run.key}", run.metrics["splits"]["test"]["calibration"], label=run.name)
        for run in runs
    ]
    return Part("calibrations", "Calibration", caption, panels, _table(runs), numbers)


def _fitted(runs: Sequence[Run]) -> str:
    kinds = {run.metrics["splits"]["test"]["calibration"].get("fitted_on", "validation") for run in runs}
    words = {
        "validation": "fitted on validation, where it is there, and change no ranking",
        "cross-fitted": "cross-fitted where there is no validation: each image is scaled by what the other folds gave",
    }
    return "; ".join(text for kind, text in words.items() if kind in kinds)


def _curves(run: Run) -> dict[str, Any]:
    return _present(run.metrics["splits"]["test"]["calibration"])


def _present(calibration: Mapping[str, Any]) -> dict[str, Any]:
    return {key: calibration[key] for key in LOOKS if key in calibration}


def calibration_panel(name: str, calibration: Mapping[str, Any], *, label: str) -> Panel:
    """The reliability curves of the key `calibration` of metrics.json."""
    curves = _present(calibration)
    bins = [row for curve in curves.values() for row in curve["bins"]]
    top = min(1.0, 1.05 * max(max(row["mean_score"], row["observed"]["high"] or 0.0) for row in bins)) or 1.0

    def plot(axes: Axes) -> None:
        for key, curve in curves.items():
            text, color, dashes, marker = LOOKS[key]
            x = [row["mean_score"] for row in curve["bins"]]
            y = [row["observed"]["value"] for row in curve["bins"]]
            axes.plot(x, y, marker, color=color, markersize=4, label=text)
            smooth = curve["curve"]["rows"]
            axes.plot(
                [row["score"] for row in smooth], [row["observed"]["value"] for row in smooth], dashes, color=color
            )
            band(axes, [row["score"] for row in smooth], [row["observed"] for row in smooth], color=color, alpha=0.12)
            for row in curve["bins"]:
                low, high = row["observed"]["low"], row["observed"]["high"]
                if low is not None:
                    axes.plot([row["mean_score"]] * 2, [low, high], color=color, lw=0.9, alpha=0.8)
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (1, 3)), label="perfect")
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_xlabel("mean score of the images in a bin")
        axes.set_ylabel("share of melanomas among them")

    said = "; ".join(f"{LOOKS[key][0]} {estimate_text(curve['observed_expected'])}" for key, curve in curves.items())
    alt = f"Reliability curve. Melanomas observed over expected: {said}."
    return Panel(name, alt, draw(name, plot, size=(4.4, 3.6)), label=label)


def _table(runs: Sequence[Run]) -> Table:
    rows = []
    for run in runs:
        rows.append(Row([f"{run.name}{_scalings(run)}"], "head"))
        for key, curve in _curves(run).items():
            rows.append(Row([LOOKS[key][0], *(estimate_text(curve[measure]) for measure in MEASURES.values())]))
    return Table(["", *MEASURES], rows)


def _scalings(run: Run) -> str:
    calibration = run.metrics["splits"]["test"]["calibration"]
    if "temperature" not in calibration:
        return ""
    platt = calibration["platt"]
    return (
        f": temperature {interval_text(calibration['temperature'])}; Platt slope {interval_text(platt['slope'])}, "
        f"intercept {interval_text(platt['intercept'])}"
    )
