"""Scored images, and the file of them: one scored image a row, written by any framework, read into arrays.

`Predictions` is what everything in this room starts from. Memory of a file that is read: 16 bytes a row for numbers,
and for each text column 4 bytes a character of its longest cell, three times over while the ids are checked for
duplicates.
"""

import dataclasses
import itertools
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float, Integer, Shaped

from mole_jax.errors import UserError
from mole_jax.evaluation.reading.columns import AS_NAMED, Columns
from mole_jax.evaluation.reading.numbers import as_scores
from mole_jax.evaluation.reading.read_table import GROUPS, METADATA, Table, read_table
from mole_jax.evaluation.reading.table_file import ROWS_AT_A_TIME
from mole_jax.evaluation.reading.truth import join_truth
from mole_jax.evaluation.statistics.groups import Groups, connected, group_images
from mole_jax.files.csv_table import write_rows
from mole_jax.vocabulary.diagnoses import NO_DECISIONS, Decisions

__all__ = ["METADATA", "Predictions", "read_predictions", "write_csv", "write_predictions"]

# A score is the sigmoid of its logit; this much may be lost by writing either with few digits or in bfloat16.
LOGIT_TOLERANCE = 1e-2


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
    patient_id: Shaped[np.ndarray, "n"] | None = None  # strings; empty where unknown
    outer: Literal["patient", "group"] = "patient"  # what patient_id names: patients, or what a user calls a group
    numbered: bool = False  # the images have no ids: image_id is their place in a file
    notes: tuple[str, ...] = ()  # what was done to read them, in sentences

    def __post_init__(self) -> None:
        """Makes scores and logits float64, so that a threshold meets the same number whoever wrote it, and checks."""
        for name in ("score", "logit"):
            column = getattr(self, name)
            if column is not None and column.dtype != np.float64:
                object.__setattr__(self, name, column.astype(np.float64))
        _check_lengths(self)
        for name in GROUPS:
            if (column := getattr(self, name)) is not None and not (column != "").any():
                object.__setattr__(self, name, None)  # a column that knows nothing is none
        _check_values(self)
        _check_unique(self)

    @property
    def n(self) -> int:
        """How many images."""
        return len(self.label)

    @cached_property
    def group(self) -> Shaped[np.ndarray, "n"]:
        """The unit that is drawn as a whole: the patient, else the lesion, else the image itself.

        Where both are known, all that is connected by a patient or by a lesion, under the name of its first patient.
        """
        lesion, patient = self.lesion_id, self.patient_id
        if lesion is None or patient is None:
            name = lesion if patient is None else patient
            return self.image_id if name is None else np.where(name == "", self.image_id, name)
        own = np.where(patient != "", patient, np.where(lesion != "", lesion, self.image_id))
        component = connected([lesion, patient])
        order = np.lexsort((own, patient == "", component))  # a component's first patient, where it has one
        first = order[np.flatnonzero(np.diff(component[order], prepend=-1))]
        return own[first][component]

    @property
    def unit(self) -> str:
        """What a group is, in one word: image, lesion, patient, or group where the user named the column."""
        if self.patient_id is not None:
            return self.outer
        return "image" if self.lesion_id is None else "lesion"

    @cached_property
    def groups(self) -> Groups:
        """The groups, numbered."""
        return group_images(self.group, self.label, unit="lesion" if self.unit == "image" else self.unit)

    def select(self, mask: Bool[np.ndarray, "n"]) -> "Predictions":
        """The images where `mask` is true."""
        return self.take(mask)

    def aligned_to(self, image_id: Shaped[np.ndarray, "n"]) -> "Predictions":
        """The same images in the order of `image_id`, which must hold exactly the same ids."""
        order, position = np.argsort(self.image_id), np.argsort(np.argsort(image_id))
        return self.take(order[position])

    def take(self, index: Shaped[np.ndarray, " m"]) -> "Predictions":
        """The images at some places, in their order, or where a mask is true."""
        columns: dict[str, Any] = {}
        for name in ("image_id", "label", "score", "logit", *GROUPS):
            column = getattr(self, name)
            columns[name] = None if column is None else column[index]
        metadata = {name: column[index] for name, column in self.metadata.items()}
        return dataclasses.replace(self, **columns, metadata=metadata)


def read_predictions(
    path: str | os.PathLike[str],
    *,
    columns: Columns = AS_NAMED,
    decisions: Decisions = NO_DECISIONS,
    truth: str | os.PathLike[str] | None = None,
) -> Predictions:
    """Reads a file of scored images: CSV as people and programs write it (`open_table`), compressed or not, or Parquet.

    Args:
        path: of the file.
        columns: what the user says of its columns, which are else found by their names.
        decisions: what the user says of labels that are not 0 and 1.
        truth: a file with the labels, joined by image id; None: the file itself has them.

    Raises:
        UserError: no such file, no rows, no column of labels or scores, a label or score that is missing or means
            nothing, and whatever `Predictions` checks. The message names the file, the value and the image.
    """
    needed = ("image_id", "score") if truth is not None else ("image_id", "label", "score")
    table = read_table(Path(path), columns, needed=needed, lenient=truth is not None)
    if truth is None:
        assert table.label is not None
        label, said = table.label.decide(decisions, table.image_id.tolist())
        table.notes += said
    else:
        label = join_truth(table, Path(truth), columns, decisions)
    return _predictions(table, label)


def _predictions(table: Table, label: Integer[np.ndarray, " n"]) -> Predictions:
    assert table.score is not None
    score, notes = as_scores(table.score, table.image_id, table.path)
    logit = None if table.logit is None else table.logit.values()
    if logit is not None and (reason := _strange_logits(logit, score)):
        notes.append(f"the column of logits is not used ({reason})")
        logit = None
    if table.numbered:
        notes.append("the images have no ids, so rows stand for them, and what two files share cannot be known")
    outer: Literal["patient", "group"] = "patient"
    if table.groups:
        table.texts["patient_id"] = (
            table.groups[0] if len(table.groups) == 1 else connected(table.groups).astype(np.str_)
        )
        outer = "group"
    known = label >= 0
    return Predictions(
        image_id=table.image_id[known],
        label=label[known],
        score=score[known],
        logit=None if logit is None else logit[known],
        metadata={name: column[known] for name, column in table.texts.items() if name in METADATA},
        source=table.path,
        outer=outer,
        numbered=table.numbered,
        notes=(*table.notes, *notes),
        **{name: table.texts[name][known] for name in GROUPS if name in table.texts},
    )


def _strange_logits(logit: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"]) -> str:
    wrong = _apart(logit, score)
    if not wrong.any():
        return ""
    i = int(wrong.argmax())
    return f"{int(wrong.sum()):,} of them, such as {logit[i]}, do not belong to their scores, such as {score[i]}"


def _apart(logit: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
    with np.errstate(over="ignore"):
        return ~(np.abs(1 / (1 + np.exp(-logit)) - score) <= LOGIT_TOLERANCE)


def write_predictions(path: str | os.PathLike[str], predictions: Predictions) -> None:
    """Writes a predictions CSV that reads back bit for bit, all of it or nothing (a temporary file is renamed).

    Numbers are written as the shortest decimal that reads back as the same float64.
    """
    columns: dict[str, np.ndarray] = {"image_id": predictions.image_id}
    for name in GROUPS:
        if (column := getattr(predictions, name)) is not None:
            columns[name] = column
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


def _check_lengths(p: Predictions) -> None:
    columns = {"image_id": p.image_id, "label": p.label, "score": p.score, "logit": p.logit}
    columns |= {name: getattr(p, name) for name in GROUPS} | dict(p.metadata)
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
    wrong = _apart(p.logit, p.score)
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
            "in all); give each image one score, such as the mean over its crops"
        )
