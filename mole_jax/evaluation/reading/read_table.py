"""One table of scores or of truth as arrays, column by column, with what was done to read it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Shaped
from tqdm import tqdm

from mole_jax.errors import UserError
from mole_jax.evaluation.reading.columns import Columns, find_columns
from mole_jax.evaluation.reading.labels import Labels
from mole_jax.evaluation.reading.numbers import Numbers
from mole_jax.evaluation.reading.table_file import open_table
from mole_jax.files.csv_table import as_it_was
from mole_jax.vocabulary.words import known

GROUPS: Final = ("lesion_id", "patient_id")
METADATA: Final = ("age", "sex", "localization", "dx", "dx_type", "split")


@dataclass
class Table:
    """The columns of one file, as far as they are there."""

    path: str
    image_id: Shaped[np.ndarray, " n"]
    numbered: bool  # the rows have no ids; they are numbered in their order
    label: Labels | None
    score: Numbers | None
    logit: Numbers | None
    texts: dict[str, Shaped[np.ndarray, " n"]]  # of GROUPS and METADATA; "" where unknown
    groups: list[Shaped[np.ndarray, " n"]]  # columns that the user named as groups
    unused: frozenset[str]  # roles of columns that the user named and this file lacks
    notes: list[str]


def read_table(path: Path, columns: Columns, *, needed: Sequence[str], lenient: bool = False) -> Table:
    """Reads a file.

    Args:
        path: of the file.
        columns: what the user says of its columns.
        needed: image_id, and label or score or both.
        lenient: whether a column that the user names may be missing, because another file has it.

    Raises:
        UserError: what `open_table`, `find_columns` and `Numbers` refuse; no rows.
    """
    with open_table(path) as (names, pieces):
        found = find_columns(names, columns, str(path), needed=needed, lenient=lenient)
        place = found.place
        label = Labels(names[place["label"]], str(path)) if "label" in needed else None
        score = Numbers(names[place["score"]], str(path)) if "score" in needed else None
        logit = Numbers(names[place["logit"]], str(path)) if "logit" in place and score else None
        ids = list[np.ndarray]()
        kept = {name: place[name] for name in (*GROUPS, *METADATA) if name in place}
        texts: dict[str, list[np.ndarray]] = {name: [] for name in kept}
        groups: list[list[np.ndarray]] = [[] for _ in found.groups]
        notes, rows_read, clean = list(found.notes), 0, _Known()
        for rows in tqdm(
            pieces, desc=f"reading {path.name}", unit=" x 100,000 rows", delay=2, leave=False, disable=None
        ):
            cells = list(zip(*rows, strict=True))
            if "image_id" in place:
                of_rows = [as_it_was(cell.strip()) for cell in cells[place["image_id"]]]
            else:
                of_rows = [f"row {rows_read + i}" for i in range(1, len(rows) + 1)]
            rows_read += len(rows)
            ids.append(np.array(of_rows, np.str_))
            if label:
                label.add(cells[place["label"]])
            if score:
                score.add(cells[place["score"]], of_rows)
            if logit:
                try:
                    logit.add(cells[place["logit"]], of_rows)
                except UserError as error:
                    notes.append(f"the column of logits is not used ({error})")
                    logit = None
            for name, i in kept.items():
                texts[name].append(np.array([clean(cell) for cell in cells[i]], np.str_))
            for column, i in zip(groups, found.groups, strict=True):
                column.append(np.array([clean(cell) for cell in cells[i]], np.str_))
    if not rows_read:
        raise UserError(f"{path} has a header but no rows; give a file with at least one scored image")
    return Table(
        str(path),
        np.concatenate(ids),
        "image_id" not in place,
        label,
        score,
        logit,
        {name: np.concatenate(parts) for name, parts in texts.items()},
        [np.concatenate(parts) for parts in groups],
        found.unused,
        notes,
    )


class _Known:
    """Cells without blanks around them, "" where they say that nothing is known; each distinct one looked at once."""

    def __init__(self) -> None:
        self._seen: dict[str, str] = {}

    def __call__(self, cell: str) -> str:
        if (text := self._seen.get(cell)) is None:
            text = self._seen[cell] = known(as_it_was(cell.strip()))
        return text
