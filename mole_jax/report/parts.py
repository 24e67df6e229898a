"""What a page is made of: figures of one or more panels with their numbers, tables, and parts that are missing."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from mole_jax.evaluation.table import digits_of
from mole_jax.files.csv_table import rows_as_text

MEDIA = {"svg": "image/svg+xml", "png": "image/png", "jpeg": "image/jpeg"}
EXTENSIONS = {"svg": "svg", "png": "png", "jpeg": "jpg"}


@dataclass(frozen=True)
class Panel:
    """One drawing or photograph."""

    name: str  # unique on the page: the file's name without its extension
    alt: str  # what is to be seen, in words
    content: bytes  # empty: no picture, the label alone
    kind: Literal["svg", "png", "jpeg"] = "svg"
    label: str = ""  # under the panel
    width: int = 224  # of a photograph in pixels; its height is 224

    @property
    def uri(self) -> str:
        """The picture inside a data URI."""
        return f"data:{MEDIA[self.kind]};base64,{base64.b64encode(self.content).decode()}"


@dataclass(frozen=True)
class Part:
    """A figure or a table of the page."""

    name: str  # unique on the page: the anchor, and the CSV file's name without its extension
    title: str
    caption: str  # what to look for
    panels: Sequence[Panel] = ()
    table: "Table | None" = None
    numbers: Mapping[str, Sequence[Any]] = field(default_factory=dict)  # column -> values
    missing: str = ""  # why there is nothing to show, one sentence
    lead: str = ""  # what was found, in words, before panels and table
    warning: str = ""  # why it must not be trusted, shown as loudly as a run's own leaks
    layout: Literal["", "small", "thirds", "wide"] = ""  # of the panels: two in a row, thumbnails, three, or one

    @property
    def csv(self) -> str:
        """The numbers as CSV; None is an empty cell."""
        return rows_as_text(list(self.numbers), zip(*self.numbers.values(), strict=True))

    @property
    def csv_uri(self) -> str:
        """The numbers inside a data URI."""
        return f"data:text/csv;charset=utf-8;base64,{base64.b64encode(self.csv.encode()).decode()}"


@dataclass(frozen=True)
class Table:
    """Texts in rows; the first column names the row."""

    heads: Sequence[str]
    rows: Sequence["Row"]


@dataclass(frozen=True)
class Row:
    """One row of a table."""

    cells: Sequence[str]
    kind: str = ""  # "paper": not ours; "head": a line above the rows that follow


def estimate_text(estimate: Mapping[str, Any] | None, digits: int = 3) -> str:
    """An estimate of metrics.json for people: value and interval, or why there is none of either."""
    if estimate is None:
        return "–"
    if estimate["value"] is None:
        return f"– ({estimate['reason']})"
    decimals = digits_of(estimate, digits)
    value, low, high = (
        None if estimate[key] is None else f"{estimate[key]:.{decimals}f}".replace("-", "−")
        for key in ("value", "low", "high")
    )
    if low is None:  # a number of the paper has no reason
        return f"{value} (no interval: {estimate['reason']})" if "reason" in estimate else str(value)
    return f"{value} ({low}{' to ' if estimate['low'] < 0 else '–'}{high})"


def interval_text(estimate: Mapping[str, Any]) -> str:
    """Value and interval of an estimate, or the value alone, where there is no room for why."""
    text = estimate_text(estimate)
    return text if estimate["low"] is not None else text.partition(" (")[0]


def estimate_columns(prefix: str, estimates: Sequence[Mapping[str, Any] | None]) -> dict[str, list[Any]]:
    """Three CSV columns of estimates: `prefix`, `prefix_low` and `prefix_high`."""
    return {
        prefix + suffix: [None if estimate is None else estimate.get(key) for estimate in estimates]
        for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high"))
    }
