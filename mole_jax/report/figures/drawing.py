"""One look for all drawings: matplotlib to an SVG that follows the page's colours, byte for byte the same each time."""

import io
import itertools
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours for all kinds of colour vision (2008), those that are visible on white and on black.
BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY = "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9"
GREY = "#808080"  # reference lines; visible on white and on black
# Stands for the page's text colour, dark or light; must not occur otherwise.
INK = "#010203"
SIZE = (4.4, 3.2)  # inches; a phone's width at about its natural size
LEGEND_ROW = 0.19  # inches

STYLE: dict[Any, Any] = {
    "axes.edgecolor": INK,
    "axes.facecolor": "none",
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "font.family": "DejaVu Sans",  # comes with matplotlib, so that the layout is the same everywhere
    "font.size": 9,
    "grid.alpha": 0.15,
    "grid.color": INK,
    "legend.frameon": False,
    "legend.handlelength": 3,
    "lines.linewidth": 1.6,
    "savefig.facecolor": "none",
    "svg.fonttype": "none",  # text stays text: it can be searched and read aloud
    "text.color": INK,
    "text.parse_math": False,  # names come from files and may hold a $
    "xtick.color": INK,
    "ytick.color": INK,
}


class Series(NamedTuple):
    """How one run is drawn: told apart by colour and by dashes."""

    color: str
    linestyle: str


def series() -> Iterator[Series]:
    """A look for each run, in a fixed order; 24 before they repeat."""
    colors, dashes = (BLUE, VERMILLION, GREEN, PURPLE, ORANGE, SKY), ("-", "--", "-.", ":")
    for i in itertools.count():
        yield Series(colors[i % len(colors)], dashes[(i + i // len(colors)) % len(dashes)])


def draw(name: str, plot: Callable[[Axes], Any], *, size: tuple[float, float] = SIZE) -> bytes:
    """Draws one pair of axes, the legend below them.

    Args:
        name: unique on the page; keeps the ids of several drawings apart.
        plot: draws into the axes.
        size: of the drawing without its legend, width and height in inches.

    Returns:
        An SVG document on a transparent ground.
    """
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots()
        plot(axes)
        rows = len(axes.get_legend_handles_labels()[0])
        if rows:
            figure.set_figheight(size[1] + LEGEND_ROW * rows)
            figure.legend(loc="outside lower center")
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return _clean(text.getvalue()).encode()


def band(
    axes: Axes, across: Sequence[float], estimates: Sequence[Mapping[str, Any]], *, color: str, alpha: float
) -> None:
    """The area between the ends of intervals; a gap where an estimate has none, as at the edge of what is known."""
    low, high = ([math.nan if one[end] is None else one[end] for one in estimates] for end in ("low", "high"))
    axes.fill_between(across, low, high, color=color, alpha=alpha, lw=0)


def shortened(name: str, length: int = 30) -> str:
    """A name that fits into a legend."""
    return name if len(name) <= length else f"{name[: length - 1]}…"


def _clean(svg: str) -> str:
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # axes_1 would occur in every drawing
    svg = re.sub(r'(<svg [^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg [^>]*?) height="[^"]*"', r"\1", svg, count=1)
    return svg.replace(INK, "currentColor")
