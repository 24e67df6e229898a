"""AUROC, sensitivity and specificity by sex, age, site and diagnosis."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from mole_jax.report.figures.drawing import BLUE, INK, VERMILLION, draw, shortened
from mole_jax.report.figures.roc_figure import main_at, point_name
from mole_jax.report.parts import Panel, Part, estimate_columns
from mole_jax.runs.read import Run

MEASURES = {"auroc": "AUROC", "sensitivity": "sensitivity", "specificity": "specificity"}
ATTRIBUTES = {
    "localization": "site",
    "sex & age": "sex and age",
    "dx": "diagnosis",
    "dx_type": "how diagnosed",
    "age": "age",
    "sex": "sex",
}
ROW = 0.19  # inches


def subgroup_figures(runs: Sequence[Run]) -> list[Part]:
    """The figures of each subgroup at the main threshold, with the whole test split as a line."""
    return [_figure(run) for run in runs]


def _figure(run: Run) -> Part:
    name, title = f"subgroups-{run.key}", f"Subgroups: {run.name}"
    subgroups: dict[str, list[dict[str, Any]]] = run.metrics["splits"]["test"]["subgroups"]
    rows = [(attribute, row) for attribute, levels in subgroups.items() for row in levels]
    if not rows:
        why = "The predictions carry no age, sex, site or diagnosis, so there are no subgroups."
        return Part(name, title, "", missing=why)
    numbers = {
        "attribute": [attribute for attribute, _ in rows],
        **{key: [row[key] for _, row in rows] for key in ("level", "images", "positives", "groups")},
    }
    for measure in MEASURES:
        numbers |= estimate_columns(measure, [row[measure] for _, row in rows])
        numbers[f"{measure}_reason"] = [row[measure].get("reason") for _, row in rows]
        numbers |= estimate_columns(f"{measure}_difference", [row["difference"][measure] for _, row in rows])
    contrasts = [row["difference"][measure] for _, row in rows for measure in MEASURES]
    compared = sum(contrast["low"] is not None for contrast in contrasts)
    apart = sum(map(leaves_out_zero, contrasts))
    caption = (
        f"Sensitivity and specificity are at the threshold for {point_name(run.main)}; the dashed line is the whole "
        "test set, in brackets stand melanomas of images. Diamonds mark levels that differ from all other images: the "
        f"95% interval of that difference, which stands in the numbers, leaves out 0. That is so for {apart} of "
        f"{compared} differences. The intervals are not adjusted for their number: were there no difference at all, "
        "about one in twenty would leave out 0. Where a level has too few lesions there is no number, and the reason "
        "stands in the numbers."
    )
    panels = [_panel(run, name, measure, subgroups) for measure in MEASURES]
    return Part(name, title, caption, panels, numbers=numbers, layout="thirds")


def leaves_out_zero(difference: Mapping[str, Any]) -> bool:
    """Whether the interval of a difference leaves out 0."""
    return difference["low"] is not None and not difference["low"] <= 0 <= difference["high"]


def _panel(run: Run, name: str, measure: str, subgroups: dict[str, list[dict[str, Any]]]) -> Panel:
    test = run.metrics["splits"]["test"]
    whole = (test if measure == "auroc" else main_at(run)).get(measure, {"value": None})
    lines: list[tuple[str, dict[str, Any] | None]] = []
    marked = set()
    for attribute, levels in subgroups.items():
        lines.append((ATTRIBUTES.get(attribute, attribute), None))
        for row in levels:
            if leaves_out_zero(row["difference"][measure]):
                marked.add(len(lines))
            lines.append((f"{shortened(row['level'], 18)} ({row['positives']}/{row['images']})", row[measure]))
    defined = [(text, estimate) for text, estimate in lines if estimate is not None and estimate["value"] is not None]

    def plot(axes: Axes) -> None:
        if whole["value"] is not None:
            axes.axvline(whole["value"], color=INK, linestyle="--", lw=1)
        for y, (_, estimate) in enumerate(lines):
            if estimate is None:
                continue
            if estimate["value"] is None:
                axes.text(0.02, y, "too few", ha="left", va="center", fontsize=7.5, alpha=0.65)
                continue
            if estimate["low"] is not None:
                axes.plot(
                    [estimate["low"], estimate["high"]], [y, y], color=VERMILLION if y in marked else BLUE, lw=1.6
                )
            look: dict[str, Any] = (
                {"color": VERMILLION, "marker": "D"} if y in marked else {"color": BLUE, "marker": "o"}
            )
            axes.plot(estimate["value"], y, markersize=5, clip_on=False, **look)
        axes.set_yticks(range(len(lines)), [text for text, _ in lines])
        for tick, (_, estimate) in zip(axes.get_yticklabels(), lines, strict=True):
            tick.set_fontweight("bold" if estimate is None else "normal")
            tick.set_fontsize(8.5)
        axes.tick_params(axis="y", length=0)
        axes.grid(False, axis="y")
        axes.set_xlim(0, 1)
        axes.set_ylim(len(lines) - 0.4, -0.6)

    alt = f"{MEASURES[measure]} by subgroup, {len(defined)} of {sum(e is not None for _, e in lines)} with a figure"
    if defined:
        lowest, highest = (pick(defined, key=lambda item: float(item[1]["value"])) for pick in (min, max))
        alt += f": from {lowest[1]['value']:.3f} in {lowest[0]} to {highest[1]['value']:.3f} in {highest[0]}"
    drawing = draw(f"{name}-{measure}", plot, size=(3.6, 0.5 + ROW * len(lines)))
    return Panel(f"{name}-{measure}", f"{alt}.", drawing, label=MEASURES[measure])
