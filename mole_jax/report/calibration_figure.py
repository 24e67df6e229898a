"""Reliability curves before and after temperature scaling."""

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from mole_jax.report.drawing import BLUE, VERMILLION, draw
from mole_jax.report.parts import Panel, Part, figure_columns, figure_text
from mole_jax.report.runs import Run

LOOKS = {"before": ("as given", BLUE, "-", "o"), "after": ("temperature-scaled", VERMILLION, "--", "s")}


def calibration_figure(run: Run) -> Part:
    """Whether a score of 0.2 means a risk of 20 %."""
    name = f"calibration-{run.key}"
    calibration: Mapping[str, Any] = run.metrics["splits"]["test"]["calibration"]
    curves = {key: calibration[key] for key in LOOKS if key in calibration}
    rows = [(LOOKS[key][0], row) for key, curve in curves.items() for row in curve["bins"]]
    numbers = {
        "scores": [which for which, _ in rows],
        **{key: [row[key] for _, row in rows] for key in ("images", "positives", "mean_score")},
        **figure_columns("observed", [row["observed"] for _, row in rows]),
    }
    top = min(1.0, 1.05 * max(max(row["mean_score"], row["observed"]["high"] or 0) for _, row in rows))

    def plot(axes: Axes) -> None:
        for key, curve in curves.items():
            text, color, style, marker = LOOKS[key]
            x = [row["mean_score"] for row in curve["bins"]]
            y = [row["observed"]["value"] for row in curve["bins"]]
            axes.plot(x, y, color=color, linestyle=style, marker=marker, markersize=4, label=text)
            for row in curve["bins"]:
                low, high = row["observed"]["low"], row["observed"]["high"]
                if low is not None:
                    axes.plot([row["mean_score"]] * 2, [low, high], color=color, lw=0.9, alpha=0.8)
        axes.plot([0, 1], [0, 1], color="gray", linestyle=(0, (1, 3)), label="perfect")
        axes.set_xlim(0, top)
        axes.set_ylim(0, top)
        axes.set_xlabel("mean score of the images in a bin")
        axes.set_ylabel("share of melanomas among them")

    said = [
        f"{LOOKS[key][0]}: calibration error {figure_text(curve['ece'])}, slope {figure_text(curve['slope'])}, intercept "
        f"{figure_text(curve['intercept'])}, Brier score {figure_text(curve['brier'])}"
        for key, curve in curves.items()
    ]
    images = sorted({row["images"] for _, row in rows})
    per_bin = f"{images[0]}" if len(images) == 1 else f"{images[0]} to {images[-1]}"
    caption = (
        "On the diagonal a score is a risk that can be told to a patient. Below it the model claims too much, above it "
        f"too little. Each point is a bin of {per_bin} images. {_temperature_text(calibration)} " + "; ".join(said) + "."
    )
    alt = "Reliability curve. " + "; ".join(said) + "."
    return Part(
        name, f"Calibration: {run.name}", caption, [Panel(name, alt, draw(name, plot, size=(4.4, 3.8)))], numbers=numbers
    )


def _temperature_text(calibration: Mapping[str, Any]) -> str:
    temperature = calibration.get("temperature")
    if temperature is None:
        return "No temperature was fitted, as there are no validation predictions."
    if temperature["value"] is None:
        return f"No temperature was fitted: {temperature['reason']}."
    return f"The temperature fitted on validation is {figure_text(temperature)}."
