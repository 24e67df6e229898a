"""A table's names and rows of texts, whatever the file: CSV, compressed or not, or Parquet."""

import bz2
import csv
import gzip
import lzma
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import TextIOBase
from itertools import islice
from pathlib import Path
from typing import Any, Final

from mole_jax.errors import UserError

ROWS_AT_A_TIME: Final = 100_000
LONGEST_LINE: Final = 1 << 20  # characters
BUDGET: Final = 8 * 10**9  # bytes, at four a character
HEAD: Final = 65_536  # bytes in which the header and the separator are looked for
COMPRESSED: Final[dict[bytes, Callable[..., Any]]] = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
PARQUET: Final = b"PAR1"
# What a file of another kind begins with -> what it is.
OTHERS: Final = {
    b"PK\x03\x04": "a spreadsheet or another zip archive; save the sheet as CSV UTF-8",
    b"\xd0\xcf\x11\xe0": "an old Excel file; save the sheet as CSV UTF-8",
    b"\x93NUMPY": "a NumPy array, which names no images; write a CSV with the columns image_id,label,score",
    b"\x80": "a pickle, which may run code when it is opened; write a CSV with the columns image_id,label,score",
    b"\x89HDF": "an HDF5 file; write a CSV with the columns image_id,label,score",
}

Rows = list[list[str]]


@contextmanager
def open_table(path: Path) -> Iterator[tuple[list[str], Iterator[Rows]]]:
    """The names of the columns, and the rows in pieces of at most `ROWS_AT_A_TIME`; blank lines are passed over.

    CSV: UTF-8 (or UTF-16 with its mark), separated by comma, semicolon, tab, bar or blanks, with Excel's `sep=` line or
    without, and with row numbers that have no head (R) or without; gzip, bz2 or xz around it.

    Raises:
        UserError: no such file; no table, and what it is instead; a row with too few or too many cells. The message
            names the file.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "is not there"
        raise UserError(f"no predictions file at {path}: it {what}; give a CSV with the columns image_id,label,score")
    try:
        with path.open("rb") as raw:
            start = raw.read(8)
        if start.startswith(PARQUET):
            yield _parquet(path)
            return
        opener = next((of for mark, of in COMPRESSED.items() if start.startswith(mark)), open)
        with opener(path, "rb") as file:
            head = file.read(HEAD)
        with opener(path, "rt", encoding=_encoding(path, head), newline="") as file:
            yield _csv(file, str(path))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte 0x{error.object[error.start]:02x}: perhaps Latin-1 or Windows-1252); "
            "save it as CSV UTF-8"
        ) from None
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file ({error}); save it as CSV UTF-8") from None
    except (EOFError, gzip.BadGzipFile, lzma.LZMAError) as error:
        raise UserError(f"{path} is damaged ({error}); compress or copy it again") from None
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror or error}); give another file") from None


def _encoding(path: Path, head: bytes) -> str:
    for mark, what in OTHERS.items():
        if head.startswith(mark):
            raise UserError(f"{path} is {what}")
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head[:1024]:
        raise UserError(f"{path} is not text (perhaps UTF-16 without its mark); save it as CSV UTF-8")
    return "utf-8-sig"


def _csv(file: TextIOBase, path: str) -> tuple[list[str], Iterator[Rows]]:
    lines = _lines(file, path)
    header = next(lines, "")
    if said := re.fullmatch(r"\ufeff?\"?sep=(.)\"?\s*", header, flags=re.IGNORECASE):
        separator, header = said[1], next(lines, "")
    else:
        separator = max(",;\t|", key=header.count)
        separator = separator if separator in header else " " if " " in header.strip() else ","
    blanks = separator == " "
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator, skipinitialspace=blanks), [])]
    if not any(names):
        raise UserError(f"{path} is empty; it should start with the header image_id,label,score")
    names[0] = names[0].lstrip("# ")  # as NumPy's savetxt writes it
    return names, _pieces(csv.reader(lines, delimiter=separator, skipinitialspace=blanks), names, path)


def _lines(file: TextIOBase, path: str) -> Iterator[str]:
    """The lines of a file that can be held: its texts become arrays in which each row has the longest one's room.

    A small archive may unpack to any size, and a small file may have one long cell.
    """
    longest = number = 0
    while line := file.readline(LONGEST_LINE):
        number += 1
        longest = max(longest, len(line))
        if len(line) == LONGEST_LINE or 4 * longest * number > BUDGET:
            raise UserError(
                f"{path} would take more than {BUDGET / 1e9:.0f} GB of memory: its longest row has {longest:,} "
                f"characters or more, and row {number:,} is not its last; give a file with shorter cells, or fewer rows"
            )
        yield line


def _pieces(rows: Iterator[list[str]], names: list[str], path: str) -> Iterator[Rows]:
    numbered = None  # whether a number stands before each row that has no head, as R's write.table has it
    while piece := list(islice(rows, ROWS_AT_A_TIME)):
        piece = [row for row in piece if row]
        if piece and numbered is None:
            numbered = len(piece[0]) == len(names) + 1 and piece[0][0].strip() in ("0", "1")
        for row in piece:
            if len(row) != len(names) + bool(numbered):
                raise UserError(
                    f"{path}: the row that starts with {row[0]!r} has {len(row)} cells but the header has "
                    f"{len(names)}; mend it, quoting cells that hold the separator (where decimals have commas, "
                    "separate columns by semicolons)"
                )
        if piece:
            yield [row[1:] for row in piece] if numbered else piece


def _parquet(path: Path) -> tuple[list[str], Iterator[Rows]]:
    try:
        from pyarrow import ArrowException, parquet
    except ImportError:
        raise UserError(
            f"{path} is a Parquet file, which needs pyarrow: pip install 'mole-jax[parquet]', or save it as CSV"
        ) from None
    try:
        file = parquet.ParquetFile(path)
        return list(file.schema_arrow.names), (
            [list(row) for row in zip(*(map(_text, of.to_pylist()) for of in batch.columns), strict=True)]
            for batch in file.iter_batches(ROWS_AT_A_TIME)
        )
    except ArrowException as error:
        raise UserError(f"{path} is a damaged Parquet file ({' '.join(str(error).split())}); write it again") from None


def _text(value: Any) -> str:
    return "" if value is None else str(value)
