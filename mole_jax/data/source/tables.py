"""Metadata tables as programs write them: commas, semicolons or tabs, with or without a column of row numbers."""

import codecs
import csv
import io
import itertools
import math
import re
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mole_jax.data.records import METADATA_COLUMNS
from mole_jax.errors import UserError
from mole_jax.vocabulary.words import SEXES, known, plain

MAX_TABLE_BYTES: Final = 1 << 28
# What R, pandas and Excel call the column of the row numbers, as `words.plain` writes it.
ROW_NUMBERS: Final = frozenset({"", "unnamed 0", "index", "rownames"})
# Column of HAM10000 -> what the ISIC Archive, its challenges and PAD-UFES-20 call it.
OTHER_NAMES: Final = {
    "age": ("age_approx",),
    "sex": ("gender",),
    "localization": ("anatom_site_general", "anatom_site_general_challenge", "region"),
    "dx_type": ("diagnosis_confirm_type",),
}


@dataclass(frozen=True)
class MetadataTable:
    """A metadata table by image.

    Attributes:
        rows: image_id -> column -> text.
        contradictory: the image_ids whose rows disagree with each other; they are not in `rows`.
    """

    rows: dict[str, dict[str, str]]
    contradictory: frozenset[str]


NO_TABLE: Final = MetadataTable({}, frozenset())


def column_names(path: Path) -> list[str]:
    """The names in the first line; whatever stands there if the file is not a table, none if it cannot be read."""
    try:
        with path.open("rb") as file:
            start = file.read(65536)
        utf16 = start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        line = _first_line(start.decode("utf-16" if utf16 else "utf-8-sig", "replace"))
        return _stripped(next(csv.reader([line], delimiter=_delimiter(line)), []))
    except (OSError, csv.Error):
        return []


def read_table(path: Path, *, required: Collection[str], key: str = "image_id") -> MetadataTable:
    """Reads a table, separated by commas, semicolons or tabs. Rows without a key are skipped.

    A table has no header if all required columns are called by numbers and its first line has no such names; its
    columns are then 1, 2, ... Rows of one key agree if they do in every column but that of the row numbers; 50 and 50.0
    are one number.

    Args:
        path: the table's file.
        required: names of the columns that it must have, the key among them.
        key: name of the column that holds the image_id.

    Raises:
        UserError: cannot be read, not UTF-8, not a table, without one of the required columns or with a column twice,
            or with a line that has more fields than the header.
    """
    text = _read_text(path)
    lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(_first_line(text)), strict=True)
    rows: dict[str, dict[str, str]] = {}
    contradictory = set()
    try:
        header = _stripped(next(lines, []))
        if header and all(name.isdigit() for name in required) and not set(required) <= set(header):
            header = [str(i + 1) for i in range(len(header))]
            lines = csv.reader(io.StringIO(text, newline=""), delimiter=_delimiter(_first_line(text)), strict=True)
        _check_header(path, header, required)
        for line in lines:
            if len(line) > len(header):
                raise UserError(
                    f"{path}, line {lines.line_num}: {len(line)} fields, and the header has {len(header)}; "
                    "put quotes around a field with a comma in it"
                )
            # Spreadsheets leave out the empty fields at the end of a line.
            row = dict(itertools.zip_longest(header, _stripped(line), fillvalue=""))
            if row[key] and not _agree(rows.setdefault(row[key], row), row):
                contradictory.add(row[key])
    except csv.Error as error:
        raise UserError(f"{path} is not a well-formed table (line {lines.line_num}: {error})") from error
    return MetadataTable(
        {name: row for name, row in rows.items() if name not in contradictory}, frozenset(contradictory)
    )


def _read_text(path: Path) -> str:
    export = "export the table again as UTF-8 CSV"
    try:
        if (size := path.stat().st_size) > MAX_TABLE_BYTES:
            raise UserError(f"{path} has {size} bytes, and the limit for a table is {MAX_TABLE_BYTES}; {export}")
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    encoding = "utf-8-sig"
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):  # Excel's "Unicode text"
        encoding = "utf-16"
    elif (position := content.find(b"\0")) >= 0:
        raise UserError(f"{path} holds a NUL byte (byte {position}) and is no UTF-8 text; {export}")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not {encoding.removesuffix('-sig').upper()} text (byte {error.start}); {export}"
        ) from error


def _check_header(path: Path, header: list[str], required: Collection[str]) -> None:
    if missing := [name for name in required if name not in header]:
        have = f"its first line is {', '.join(header)[:100]!r}" if header else "it is empty"
        raise UserError(f"{path} has no column {missing[0]!r}; it needs {', '.join(required)}, and {have}")
    if twice := [name for name, count in Counter(header).items() if count > 1 and name]:
        raise UserError(f"{path} has two columns {twice[0]!r}; rename or remove one")


def metadata(row: dict[str, str]) -> dict[str, Any]:
    """The metadata columns of a row as `Record` holds them: age a number (None if unknown), the others text.

    Where HAM10000's columns are missing, those that the ISIC Archive has in their place are read.
    """
    values: dict[str, Any] = {
        column: next((row[name] for name in (column, *OTHER_NAMES.get(column, ())) if row.get(name)), "")
        for column in METADATA_COLUMNS
    }
    values["age"] = _number(values["age"])
    values["sex"] = SEXES.get(plain(values["sex"]), _known_or_said_unknown(values["sex"]))
    values["localization"] = _known_or_said_unknown(values["localization"])
    values["dx_type"] = known(values["dx_type"])
    values["patient_id"] = known(row.get("patient_id", ""))
    return values


def merge(tables: Sequence[MetadataTable], columns: Collection[str]) -> MetadataTable:
    """One table of several; an image of which two of them say different things in these columns is contradictory."""
    rows: dict[str, dict[str, str]] = {}
    contradictory = {key for table in tables for key in table.contradictory}
    for table in tables:
        for key, row in table.rows.items():
            there = rows.setdefault(key, {})
            if any(known(there.get(c, "")) and known(row.get(c, "")) not in ("", there[c]) for c in columns):
                contradictory.add(key)
            there.update({name: value for name, value in row.items() if known(value) or name not in there})
    return MetadataTable({key: row for key, row in rows.items() if key not in contradictory}, frozenset(contradictory))


def _known_or_said_unknown(text: str) -> str:
    """HAM10000 writes "unknown" in words, and so it stays; every other spelling of it is an empty cell."""
    return "unknown" if plain(text) == "unknown" else known(text)


def _number(text: str) -> float | None:
    """A finite number, with a decimal point or comma; None for anything else."""
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def _agree(a: dict[str, str], b: dict[str, str]) -> bool:
    return all(_same(a[name], b[name]) for name in a if plain(name) not in ROW_NUMBERS)


def _same(a: str, b: str) -> bool:
    number = _number(a)
    return a == b or (number is not None and number == _number(b))


def _first_line(text: str) -> str:
    return re.split(r"[\r\n]", text, maxsplit=1)[0]


def _stripped(fields: list[str]) -> list[str]:
    return [field.strip() for field in fields]


def _delimiter(header: str) -> str:
    if "\t" in header:
        return "\t"
    return ";" if header.count(";") > header.count(",") else ","
