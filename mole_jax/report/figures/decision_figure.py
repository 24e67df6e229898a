"""Decision curves: is the model of use to somebody who acts at a given risk?"""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes

from mole_jax.report.figures.drawing import INK, band, draw, series, shortened
from mole_jax.report.parts import Panel, Part, estimate_columns
from mole_jax.runs.read import Run

SCORES = {
    "platt_scaled": "Platt-scaled scores",
    "platt_scaled_cross_fitted": "Platt-scaled scores (cross-fitted)",
    "as_given": "scores as given",
}


def decision_figure(runs: Sequence[Run]) -> Part:
    """Net benefit over risk on the test split."""
    curves: list[dict[str, Any]] = [run.metrics["splits"]["test"]["decision_curve"] for run in runs]
    # Without melanomas there is no benefit at all, but an axis needs a height.
    highest = max(0.01, *(max(row["model"]["value"], row["treat_all"]) for curve in curves for row in curve["rows"]))

    def plot(axes: Axes) -> None:
        for run, curve, look in zip(runs, curves, series(), strict=False):
            risks = [row["risk"] for row in curve["rows"]]
            values = [row["model"]["value"] for row in curve["rows"]]
            axes.plot(risks, values, linestyle=look.linestyle, color=look.color, label=shortened(run.name, 44))
            band(axes, risks, [row["model"] for row in curve["rows"]], color=look.color, alpha=0.15)
        for i, curve in enumerate(curves):
            # The same line for runs on the same images.
            if [row["treat_all"] for row in curve["rows"]] not in [
                [row["treat_all"] for row in other["rows"]] for other in curves[:i]
            ]:
                risks = [row["risk"] for row in curve["rows"]]
                label = "excise all" if i == 0 else None
                axes.plot(risks, [row["treat_all"] for row in curve["rows"]], color=INK, lw=1, alpha=0.7, label=label)
        axes.axhline(0, color=INK, lw=1, linestyle=":", label="excise none")
        axes.set_ylim(-0.15 * highest, 1.1 * highest)
        axes.set_xlabel("risk at which one excises")
        axes.set_ylabel("net benefit per image")
        axes.xaxis.set_major_formatter(lambda x, _: f"{x:.0%}")

    rows = [(run.name, row) for run, curve in zip(runs, curves, strict=True) for row in curve["rows"]]
    numbers = {
        "run": [name for name, _ in rows],
        "risk": [row["risk"] for _, row in rows],
        **estimate_columns("net_benefit", [row["model"] for _, row in rows]),
        **{key: [row[key] for _, row in rows] for key in ("treat_all", "treat_none")},
    }
    scores = ", ".join(dict.fromkeys(SCORES[curve["scores"]] for curve in curves))
    caption = (
        "A model is of use at a risk where its curve lies above both excising every lesion and excising none; the "
        f"bands are pointwise 95% intervals. Drawn from {scores}, at the share of melanomas of the test set: in a "
        "population with fewer melanomas the benefit is smaller (Vickers and Elkin 2006)."
    )
    alt = "Decision curves. " + " ".join(
        _useful(run.name, curve["rows"]) for run, curve in zip(runs, curves, strict=True)
    )
    panel = Panel("decision-curve", alt, draw("decision-curve", plot, size=(4.4, 3.4)))
    return Part("decision-curve", "Decision curves", caption, [panel], numbers=numbers)


def _useful(name: str, rows: Sequence[dict[str, Any]]) -> str:
    useful = [row["risk"] for row in rows if row["model"]["value"] > max(row["treat_all"], 0)]
    if not useful:
        return f"{name} is nowhere above both references."
    where = f"{len(useful)} of {len(rows)} risks, from {useful[0]:.0%} to {useful[-1]:.0%}"
    return f"{name} is above both references at {where}."
