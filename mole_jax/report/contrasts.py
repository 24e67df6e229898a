"""Subgroups against each other, two by two: which differ, and how many were compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from mole_jax.report.figures.subgroup_figure import ATTRIBUTES, MEASURES, leaves_out_zero
from mole_jax.report.parts import Part, Row, Table, estimate_columns, estimate_text
from mole_jax.runs.read import Run


def contrasts_tables(runs: Sequence[Run]) -> list[Part]:
    """A table for each run with two subgroups or more that can be compared; none for the others."""
    return [part for run in runs if (part := _table(run)) is not None]


def _table(run: Run) -> Part | None:
    by_attribute: Mapping[str, list[dict[str, Any]]] = run.metrics["splits"]["test"].get("subgroup_contrasts", {})
    found = [(attribute, row) for attribute, rows in by_attribute.items() for row in rows]
    if not found:
        return None
    compared = [row[measure] for _, row in found for measure in MEASURES if row[measure]["low"] is not None]
    apart = [(name, row) for name, row in found if any(leaves_out_zero(row[measure]) for measure in MEASURES)]
    rows = [
        Row(
            [
                f"{ATTRIBUTES.get(name, name)}: {row['levels'][0]} − {row['levels'][1]}",
                *(estimate_text(row[measure]) for measure in MEASURES),
            ]
        )
        for name, row in apart
    ]
    numbers: dict[str, list[Any]] = {
        "attribute": [name for name, _ in found],
        "first": [row["levels"][0] for _, row in found],
        "second": [row["levels"][1] for _, row in found],
    }
    for measure in MEASURES:
        numbers |= estimate_columns(f"{measure}_difference", [row[measure] for _, row in found])
    caption = (
        f"First minus second, with 95% intervals. {sum(map(leaves_out_zero, compared))} of {len(compared)} differences "
        "leave out 0; were there none at all, about one in twenty would. The pairs with such a difference are shown, "
        "all stand in the numbers. The intervals are not adjusted for their number."
    )
    table = Table(["", *MEASURES.values()], rows) if rows else None
    return Part(
        f"contrasts-{run.key}", f"Subgroups against each other: {run.name}", caption, table=table, numbers=numbers
    )
