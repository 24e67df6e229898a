"""CSV files as we write them: UTF-8, whole or not at all, no formulas, reading back to the same texts."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Final

from mole_jax.files.writing import open_whole

_COMPUTED: Final = ("=", "+", "-", "@", "\t", "\r")  # how a cell begins that a spreadsheet would compute


def write_rows(path: Path, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Writes rows below a header.

    None is an empty cell. A text that a spreadsheet would compute gets an apostrophe before it, which `as_it_was` takes
    away. A cell with a bare carriage return, at which readers end a line but the writer does not think
    of it, is quoted.

    Args:
        path: of the file, which is replaced.
        names: of the columns.
        rows: of as many values.
    """
    with open_whole(path) as file:
        _write(file, names, rows)


def rows_as_text(names: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """What `write_rows` would write."""
    text = io.StringIO()
    _write(text, names, rows)
    return text.getvalue()


def as_it_was(cell: str) -> str:
    """A cell's text as it was before it was written."""
    return cell[1:] if cell.startswith("'") and cell.lstrip("'")[:1] in _COMPUTED else cell


def _write(file: Any, names: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    plain = csv.writer(file, lineterminator="\n")
    quoted = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)
    plain.writerow(names)
    for row in rows:
        cells = [_shown_in_spreadsheets(cell) if isinstance(cell, str) else cell for cell in row]
        odd = any(isinstance(cell, str) and "\r" in cell for cell in cells)
        (quoted if odd else plain).writerow(cells)


def _shown_in_spreadsheets(text: str) -> str:
    """A text, such as a file's name, so that a spreadsheet shows it and does not compute it.

    Cells that begin with = + - @ or a tab are formulas to Excel and LibreOffice; an apostrophe before them makes them
    text (OWASP, "CSV Injection"). Numbers are left as they are.
    """
    if text.lstrip("'")[:1] not in _COMPUTED or not text:
        return text
    try:
        float(text)
    except ValueError:
        return f"'{text}"
    return text
