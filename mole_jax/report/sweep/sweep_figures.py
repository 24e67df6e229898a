"""Validation AUROC over what a sweep varied: a heat map of two fields, points over one, parallel axes for more."""

import math
from collections.abc import Callable, Sequence
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes

from mole_jax.report.figures.drawing import BLUE, GREY, VERMILLION, draw, shortened
from mole_jax.report.parts import Panel, Part, estimate_columns
from mole_jax.sweeps.result import Result, Row
from mole_jax.sweeps.text import short

TITLE: Final = "Validation AUROC of each configuration"
COLOURS: Final = "cividis"  # for all kinds of colour vision
WIDE: Final = (6.6, 3.6)  # inches
LABEL: Final = 14  # signs of a value on an axis
MANY_RATIO: Final = 20  # values that span more than this factor are drawn on a logarithmic axis


def sweep_figure(result: Result) -> Part:
    """The figure, with the numbers of every configuration."""
    done = [row for row in result.rows if row.validation_auroc is not None]
    numbers = _numbers(result)
    if not done:
        return Part("sweep", TITLE, "", missing="No configuration is done, so nothing is drawn.", numbers=numbers)
    values = {name: list(dict.fromkeys(row.changes[name] for row in result.rows)) for name in result.varied}
    listed = not any(isinstance(of, str) for of in result.varied.values())
    plot: Callable[[Axes], Any]
    seeds = max(len(row.trials) for row in result.rows)
    means = f" Each is the mean of {seeds} seeds; ± is half of its 95 % interval over seeds." if seeds > 1 else ""
    if listed and len(values) == 1:
        (name,) = values
        plot = lambda axes: _points(axes, name, result)  # noqa: E731
        bars = f" Each is the mean of {seeds} seeds, the bar its 95 % interval over seeds." if seeds > 1 else ""
        caption = f"A point a value of {name}, those whose neighbours are as good being the safer choice.{bars}"
        size = WIDE
    elif listed and len(values) == 2 and min(map(len, values.values())) > 1:
        plot = lambda axes: _heat_map(axes, values, result)  # noqa: E731
        caption = (
            "A cell a configuration, the chosen one framed; a dash: it diverged or failed. A best cell among good ones "
            f"is worth more than one among bad ones, which may be luck.{means}"
        )
        size = (1.6 + 0.95 * len(values[list(values)[1]]), 1.1 + 0.5 * len(values[next(iter(values))]))
    else:
        plot = lambda axes: _parallel(axes, values, result)  # noqa: E731
        caption = (
            "A line a configuration, through its settings to its validation AUROC; the brighter the better, the chosen "
            f"one in red. Where bright lines meet on an axis, that setting matters.{means}"
        )
        size = (max(WIDE[0], 1.4 * (len(values) + 1)), WIDE[1])
    best = f" The chosen one: {result.rows[result.chosen.row].words}." if result.chosen else ""
    aurocs = [row.validation_auroc["value"] or 0.0 for row in done if row.validation_auroc]
    alt = (
        f"Validation AUROC of {len(done)} of {len(result.rows)} configurations over {', '.join(values)}: from "
        f"{min(aurocs):.3f} to {max(aurocs):.3f}.{best}"
    )
    panel = Panel("sweep-figure", alt, draw("sweep-figure", plot, size=size), label=f"over {', '.join(values)}")
    return Part("sweep", TITLE, caption, [panel], numbers=numbers, layout="wide")


def _numbers(result: Result) -> dict[str, list[Any]]:
    columns: dict[str, list[Any]] = {name: [row.changes[name] for row in result.rows] for name in result.varied}
    columns["state"] = [row.state for row in result.rows]
    for name in ("validation_auroc", "validation_accuracy"):
        columns |= estimate_columns(name, [getattr(row, name) for row in result.rows])
    return columns


def _text(value: Any) -> str:
    return shortened(f"{value:g}" if type(value) is float else str(value), LABEL)


def _half(row: Row) -> float:
    found = row.validation_auroc
    if found is None or found["low"] is None or found["high"] is None:
        return 0.0
    return (found["high"] - found["low"]) / 2


def _heat_map(axes: Axes, values: dict[str, list[Any]], result: Result) -> None:
    (rows, of_rows), (columns, of_columns) = values.items()
    cells = np.full((len(of_rows), len(of_columns)), np.nan)
    axes.grid(visible=False)
    for row in result.rows:
        if row.validation_auroc is not None:
            cells[of_rows.index(row.changes[rows]), of_columns.index(row.changes[columns])] = row.validation_auroc[
                "value"
            ]
    low, high = float(np.nanmin(cells)), float(np.nanmax(cells))
    axes.pcolormesh(cells, cmap=COLOURS, vmin=low, vmax=max(high, low + 1e-9), edgecolors="none")
    for row in result.rows:
        y, x = of_rows.index(row.changes[rows]), of_columns.index(row.changes[columns])
        value = cells[y, x]
        if math.isnan(value):
            axes.text(x + 0.5, y + 0.5, "–", ha="center", va="center", color=GREY)
            continue
        spread = f"\n± {_half(row):.3f}" if _half(row) else ""
        dark = value < (low + high) / 2
        colour = "#ffffff" if dark else "#000000"
        axes.text(x + 0.5, y + 0.5, f"{value:.3f}{spread}", ha="center", va="center", fontsize=8, color=colour)
    if result.chosen is not None:
        best = result.rows[result.chosen.row].changes
        corner = of_columns.index(best[columns]), of_rows.index(best[rows])
        axes.add_patch(matplotlib.patches.Rectangle(corner, 1, 1, fill=False, edgecolor=VERMILLION, linewidth=2.5))
    axes.set_xticks(np.arange(len(of_columns)) + 0.5, [_text(value) for value in of_columns])
    axes.set_yticks(np.arange(len(of_rows)) + 0.5, [_text(value) for value in of_rows])
    axes.set_xlabel(columns)
    axes.set_ylabel(rows)
    axes.invert_yaxis()


def _points(axes: Axes, name: str, result: Result) -> None:
    for x, row in enumerate(result.rows):
        if row.validation_auroc is None:
            continue
        chosen = result.chosen is not None and result.chosen.row == x
        axes.errorbar(
            [x],
            [row.validation_auroc["value"] or 0.0],
            yerr=[_half(row)] if _half(row) else None,
            fmt="o",
            capsize=3,
            color=VERMILLION if chosen else BLUE,
        )
    axes.set_xticks(range(len(result.rows)), [_text(row.changes[name]) for row in result.rows])
    axes.set_xlabel(name)
    axes.set_ylabel("validation AUROC")


def _parallel(axes: Axes, values: dict[str, list[Any]], result: Result) -> None:
    done = [row for row in result.rows if row.validation_auroc is not None]
    aurocs = [float(row.validation_auroc["value"] or 0.0) for row in done if row.validation_auroc]
    scales = {name: _scale(of, result.varied[name]) for name, of in values.items()}
    _, of_auroc = _scale(aurocs, "uniform")
    low, high = min(aurocs), max(aurocs)
    colours = matplotlib.colormaps[COLOURS]
    best = result.rows[result.chosen.row] if result.chosen else None
    order = sorted(zip(done, aurocs, strict=True), key=lambda pair: (pair[0] is best, pair[1]))
    for row, auroc in order:
        ys = [scales[name][1](row.changes[name]) for name in values] + [of_auroc(auroc)]
        share = (auroc - low) / (high - low) if high > low else 1.0
        colour = VERMILLION if row is best else colours(0.15 + 0.85 * share)
        axes.plot(range(len(ys)), ys, color=colour, linewidth=2.2 if row is best else 0.9)
    axes.grid(visible=False)
    axes.set_yticks([])
    for side in axes.spines.values():
        side.set_visible(False)
    heads = [*values, "validation AUROC"]
    axes.set_xticks(range(len(heads)), heads)
    axes.set_ylim(-0.08, 1.08)
    for x, (ticks, place) in enumerate([*scales.values(), (sorted({low, high}), of_auroc)]):
        axes.axvline(x, color=GREY, linewidth=0.8)
        for tick in ticks:
            label = f"{tick:.3f}" if x == len(heads) - 1 else _text(tick)
            axes.text(x - 0.03, place(tick), label, ha="right", va="center", fontsize=8)


def _scale(values: Sequence[Any], of: Sequence[Any] | str) -> tuple[list[Any], Callable[[Any], float]]:
    """The values to label on an axis, and the place 0..1 of a value.

    Args:
        values: that occur.
        of: what they were taken from, a list or a range in words; a listed one is as `MANY_RATIO` says.
    """
    numbers = all(isinstance(value, int | float) for value in values)
    if not numbers:
        places = {value: (i + 0.5) / len(values) for i, value in enumerate(values)}
        return list(values), lambda value: places[value]
    low, high = min(values), max(values)
    if low == high:
        return [low], lambda _: 0.5
    spread = low > 0 and high / low >= MANY_RATIO
    if of.startswith("log") if isinstance(of, str) else spread:
        return [low, high], lambda value: math.log(value / low) / math.log(high / low)
    return [low, high], lambda value: (value - low) / (high - low)


def state_text(row: Row) -> str:
    """A configuration's figure for a table's cell, or why it has none."""
    if row.validation_auroc is None:
        return f"– ({row.error or row.state})"
    return short(row.validation_auroc).replace("-", "–")
