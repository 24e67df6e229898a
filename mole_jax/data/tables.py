"""Metadata tables: HAM10000_metadata.csv, Dataverse's tab-separated form of it, and a folder's own list of lesions."""

import csv
import io
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mole_jax.data.records import METADATA_COLUMNS
from mole_jax.errors import UserError


@dataclass(frozen=True)
class Table:
    """A metadata table by image.

    Attributes:
        rows: image_id -> column -> text.
        contradictory: the image_ids that have several rows which disagree; they are not in `rows`.
    """

    rows: dict[str, dict[str, str]]
    contradictory: frozenset[str]


def column_names(path: Path) -> list[str]:
    """The names in the first line; whatever stands there if the file is no table."""
    with path.open("rb") as file:
        line = file.readline(65536).decode("utf-8-sig", "replace")
    return [name.strip().strip('"') for name in line.split(_delimiter(line))]


def read_table(path: Path, *, required: Collection[str], key: str = "image_id") -> Table:
    """Reads a comma- or tab-separated table with a header. Rows without a key are passed over.

    Args:
        path: of the table.
        required: columns that it must have, the key among them.
        key: the column that names the image.

    Raises:
        UserError: not UTF-8, not a table, or without one of the required columns.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte {error.start}); export the table again as UTF-8 CSV"
        ) from error
    if missing := [name for name in required if name not in column_names(path)]:
        raise UserError(f"{path} has no column {missing[0]!r}; it needs {', '.join(required)}")
    rows: dict[str, dict[str, str]] = {}
    contradictory = set()
    try:
        for line in csv.DictReader(
            io.StringIO(text, newline=""), delimiter=_delimiter(text.split("\n", 1)[0]), strict=True
        ):
            row = {name.strip(): (value or "").strip() for name, value in line.items() if name is not None}
            if row[key] and rows.setdefault(row[key], row) != row:
                contradictory.add(row[key])
    except csv.Error as error:
        raise UserError(f"{path} is not a well-formed table: {error}") from error
    return Table({name: row for name, row in rows.items() if name not in contradictory}, frozenset(contradictory))


def metadata(row: dict[str, str]) -> dict[str, Any]:
    """The metadata columns of a row as `Record` holds them: age a number (NaN if unknown), the others text."""
    values: dict[str, Any] = {column: row.get(column, "") for column in METADATA_COLUMNS}
    try:
        values["age"] = float(values["age"])
    except ValueError:
        values["age"] = math.nan
    return values


def _delimiter(header: str) -> str:
    return "\t" if "\t" in header else ","
