"""The predictions CSV: one scored image a row, written by any framework, read into arrays.

Columns: `image_id,label,score` required; `logit`, `lesion_id` and the metadata of `METADATA` optional; others are
ignored. Memory: 16 bytes a row for numbers, and for each text column 4 bytes a character of its longest cell, three
times over while the ids are checked for duplicates. 10 million rows with ids like ISIC_0024306 need about 2 GB to read
and 3.5 GB to evaluate.
"""

import csv
import itertools
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

from mole_jax.errors import UserError
from mole_jax.files.csv_table import write_rows

REQUIRED = ("image_id", "label", "score")
METADATA = ("age", "sex", "localization", "dx", "dx_type", "split")

# A score is the sigmoid of its logit; this much may be lost by writing either with few digits or in bfloat16.
LOGIT_TOLERANCE = 1e-2
ROWS_AT_A_TIME = 100_000


@dataclass(frozen=True)
class Predictions:
    """Scored images. Checked when made: lengths, labels 0 or 1, scores in [0, 1], unique ids.

    Raises:
        UserError: the first of these that does not hold, with the value and the image.
    """

    image_id: Shaped[np.ndarray, "n"]  # strings, unique
    label: Integer[np.ndarray, "n"]  # 0 not melanoma, 1 melanoma
    score: Float[np.ndarray, "n"]  # P(melanoma), in [0, 1]
    logit: Float[np.ndarray, "n"] | None = None  # score = sigmoid(logit)
    lesion_id: Shaped[np.ndarray, "n"] | None = None  # strings; empty where unknown
    metadata: Mapping[str, Shaped[np.ndarray, "n"]] = field(
        default_factory=dict
    )  # any of METADATA; strings, empty: unknown
    source: str = "the predictions"  # named in error messages

    def __post_init__(self) -> None:
        """Makes scores and logits float64, so that a threshold meets the same number whoever wrote it, and checks."""
        for name in ("score", "logit"):
            column = getattr(self, name)
            if column is not None and column.dtype != np.float64:
                object.__setattr__(self, name, column.astype(np.float64))
        _check_lengths(self)
        _check_values(self)
        _check_unique(self)

    @property
    def n(self) -> int:
        """How many images."""
        return len(self.label)

    @property
    def group(self) -> Shaped[np.ndarray, "n"]:
        """The unit that is drawn as a whole: the lesion, or the image itself where its lesion is unknown."""
        if self.lesion_id is None:
            return self.image_id
        return np.where(self.lesion_id == "", self.image_id, self.lesion_id)

    def select(self, mask: Bool[np.ndarray, "n"]) -> "Predictions":
        """The images where `mask` is true."""
        return self._take(mask)

    def aligned_to(self, image_id: Shaped[np.ndarray, "n"]) -> "Predictions":
        """The same images in the order of `image_id`, which must hold exactly the same ids."""
        order, position = np.argsort(self.image_id), np.argsort(np.argsort(image_id))
        return self._take(order[position])

    def _take(self, index: Shaped[np.ndarray, " m"]) -> "Predictions":
        return Predictions(
            image_id=self.image_id[index],
            label=self.label[index],
            score=self.score[index],
            logit=None if self.logit is None else self.logit[index],
            lesion_id=None if self.lesion_id is None else self.lesion_id[index],
            metadata={name: column[index] for name, column in self.metadata.items()},
            source=self.source,
        )


def read_predictions(path: str | os.PathLike[str]) -> Predictions:
    """Reads a predictions CSV: UTF-8 (or UTF-16 with its mark), separated by comma, semicolon or tab.

    Raises:
        UserError: no such file, no rows, missing columns, text that is not a number, other encodings, and whatever
            `Predictions` checks. The message names the file, the value and the image.
    """
    path = Path(path)
    encoding = _encoding(path)
    try:
        with path.open(encoding=encoding, newline="") as file:
            return _read(file, str(path))
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not UTF-8 text (byte 0x{error.object[error.start]:02x}: perhaps Latin-1 or Windows-1252); "
            "save it as CSV UTF-8"
        ) from None
    except csv.Error as error:
        raise UserError(f"{path} is not a CSV file ({error}); save it as CSV UTF-8") from None


def write_predictions(path: str | os.PathLike[str], predictions: Predictions) -> None:
    """Writes a predictions CSV that reads back bit for bit, all of it or nothing (a temporary file is renamed).

    Numbers are written as the shortest decimal that reads back as the same float64.
    """
    columns: dict[str, np.ndarray] = {"image_id": predictions.image_id}
    if predictions.lesion_id is not None:
        columns["lesion_id"] = predictions.lesion_id
    columns |= {"label": predictions.label, "score": predictions.score.astype(np.float64)}
    if predictions.logit is not None:
        columns["logit"] = predictions.logit.astype(np.float64)
    write_csv(path, {**columns, **predictions.metadata})


def write_csv(path: str | os.PathLike[str], columns: Mapping[str, Shaped[np.ndarray, " n"]]) -> None:
    """Writes columns of equal length under their names, all of it or nothing (a temporary file is renamed)."""
    pieces = (
        slice(start, start + ROWS_AT_A_TIME) for start in range(0, len(next(iter(columns.values()))), ROWS_AT_A_TIME)
    )
    rows = (zip(*(column[piece].tolist() for column in columns.values()), strict=True) for piece in pieces)
    write_rows(Path(path), list(columns), itertools.chain.from_iterable(rows))


def _encoding(path: Path) -> str:
    if not path.is_file():
        raise UserError(f"no predictions file at {path}; give the path of a CSV with the columns {','.join(REQUIRED)}")
    with path.open("rb") as file:
        head = file.read(1024)
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "utf-16"
    if b"\0" in head:
        raise UserError(f"{path} is not text (perhaps a spreadsheet, or UTF-16 without its mark); save it as CSV UTF-8")
    return "utf-8-sig"


def _read(file: TextIO, path: str) -> Predictions:
    header = file.readline()
    separator = max(",;\t", key=header.count)
    names = [name.strip() for name in next(csv.reader([header], delimiter=separator), [])]
    if not any(names):
        raise UserError(f"{path} is empty; it should start with the header {','.join(REQUIRED)}")
    if missing := [name for name in REQUIRED if name not in names]:
        raise UserError(f"{path} has no column {' and no column '.join(missing)}; its columns are {', '.join(names)}")
    if twice := [name for name in names if names.count(name) > 1]:
        raise UserError(f"{path} has the column {twice[0]} twice; rename or remove one")
    wanted = [name for name in names if name in (*REQUIRED, "logit", "lesion_id", *METADATA)]
    parts: dict[str, list[np.ndarray]] = {name: [] for name in wanted}
    for rows in _chunks(csv.reader(file, delimiter=separator), names, path):
        cells = dict(zip(names, zip(*rows, strict=True), strict=True))
        for name in wanted:
            parts[name].append(_column(name, cells[name], cells["image_id"], path))
    if not parts["image_id"]:
        raise UserError(f"{path} has a header but no rows; give a file with at least one scored image")
    columns = {name: np.concatenate(parts.pop(name)) for name in wanted}
    return Predictions(
        image_id=columns["image_id"],
        label=columns["label"],
        score=columns["score"],
        logit=columns.get("logit"),
        lesion_id=columns.get("lesion_id"),
        metadata={name: columns[name] for name in METADATA if name in columns},
        source=path,
    )


def _chunks(rows: Iterator[list[str]], names: list[str], path: str) -> Iterator[list[list[str]]]:
    while chunk := list(islice(rows, ROWS_AT_A_TIME)):
        chunk = [row for row in chunk if row]  # blank lines, usually the last one
        for row in chunk:
            if len(row) != len(names):
                raise UserError(
                    f"{path}: the row that starts with {row[0]!r} has {len(row)} cells but the header has "
                    f"{len(names)}; mend it, quoting cells that hold the separator"
                )
        if chunk:
            yield chunk


def _column(name: str, cells: tuple[str, ...], ids: tuple[str, ...], path: str) -> np.ndarray:
    if name not in ("label", "score", "logit"):
        return np.array([cell.strip() for cell in cells], dtype=np.str_)
    try:
        numbers = np.fromiter(map(float, cells), dtype=np.float64, count=len(cells))
    except ValueError:
        raise UserError(_not_a_number(name, cells, ids, path)) from None
    if name != "label":
        return numbers
    wrong = (numbers != 0) & (numbers != 1)
    if wrong.any():
        i = int(wrong.argmax())
        raise UserError(f"{path}: label {cells[i]!r} of image {ids[i]} is neither 0 (not melanoma) nor 1 (melanoma)")
    return numbers.astype(np.int64)


def _not_a_number(name: str, cells: tuple[str, ...], ids: tuple[str, ...], path: str) -> str:
    for cell, image in zip(cells, ids, strict=True):
        try:
            float(cell)
        except ValueError:
            remedy = "write decimals with a point" if "," in cell else "labels are 0 or 1, scores lie between 0 and 1"
            return f"{path}: {name} {cell!r} of image {image} is not a number; {remedy}"
    raise AssertionError("every cell is a number")


def _check_lengths(p: Predictions) -> None:
    columns = {"image_id": p.image_id, "label": p.label, "score": p.score, "logit": p.logit, "lesion_id": p.lesion_id}
    columns |= p.metadata
    for name, column in columns.items():
        if column is not None and len(column) != p.n:
            raise UserError(
                f"{p.source}: {name} has {len(column)} entries but label has {p.n}; give one for each image"
            )
    if p.n == 0:
        raise UserError(f"{p.source}: no images; give at least one")
    if unknown := sorted(set(p.metadata) - set(METADATA)):
        raise UserError(f"{p.source}: metadata {unknown[0]!r} is not one of {', '.join(METADATA)}")


def _check_values(p: Predictions) -> None:
    wrong = (p.label != 0) & (p.label != 1)
    if wrong.any():
        i = int(wrong.argmax())
        raise UserError(
            f"{p.source}: label {p.label[i]} of image {p.image_id[i]} is neither 0 (not melanoma) nor 1 (melanoma)"
        )
    wrong = ~((p.score >= 0) & (p.score <= 1))  # the negation also catches NaN
    if wrong.any():
        i = int(wrong.argmax())
        raise UserError(
            f"{p.source}: score {p.score[i]} of image {p.image_id[i]} is not in [0, 1]; "
            "a score is the probability of melanoma, so pass logits through a sigmoid"
        )
    if p.logit is None:
        return
    with np.errstate(over="ignore"):
        wrong = ~(np.abs(1 / (1 + np.exp(-p.logit)) - p.score) <= LOGIT_TOLERANCE)
    if wrong.any():
        i = int(wrong.argmax())
        raise UserError(
            f"{p.source}: logit {p.logit[i]} of image {p.image_id[i]} does not belong to its score {p.score[i]}; "
            "the score must be the sigmoid of the logit, or leave the column logit out"
        )


def _check_unique(p: Predictions) -> None:
    if (p.image_id == "").any():
        raise UserError(
            f"{p.source}: row {int((p.image_id == '').argmax()) + 1} has an empty image_id; give each image an id"
        )
    ordered = np.sort(p.image_id)
    same = ordered[1:] == ordered[:-1]
    if same.any():
        raise UserError(
            f"{p.source}: image {ordered[1:][same][0]} appears more than once ({int(same.sum())} duplicate rows "
            "in all); give each image one score"
        )
