"""Labels from a file of their own, joined to scores by the id of the image."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from jaxtyping import Integer

from mole_jax.errors import UserError
from mole_jax.evaluation.reading.columns import Columns
from mole_jax.evaluation.reading.read_table import Table, read_table
from mole_jax.vocabulary.diagnoses import Decisions
from mole_jax.vocabulary.identity import pair_ids

NAMED: Final = 3


def join_truth(table: Table, path: Path, columns: Columns, decisions: Decisions) -> Integer[np.ndarray, " n"]:
    """The label of each image of `table`, from another file; its groups and metadata too, where `table` has none.

    Args:
        table: of scores; gains what the truth knows, and notes.
        path: of the file with the labels.
        columns: what the user says of the columns of both files.
        decisions: what the user says of labels that are not 0 and 1.

    Returns:
        0 or 1, and -1 where the diagnosis is unknown.

    Raises:
        UserError: one of the files has no ids, or an id twice; an image has no row in the truth; a column that the user
            names is in neither file; whatever `read_table` refuses.
    """
    truth = read_table(path, columns, needed=("image_id", "label"), lenient=True)
    if absent := sorted(table.unused & truth.unused):
        raise UserError(f"neither {table.path} nor {path} has a column {absent[0]}, which --columns names")
    for of in (table, truth):
        if of.numbered:
            raise UserError(
                f"{of.path} has no column of image ids, by which --truth joins; name it with --columns=id=NAME"
            )
        _refuse_twice(of.image_id.tolist(), of.path)
    ids, others = table.image_id.tolist(), truth.image_id.tolist()
    pairs, how = pair_ids(ids, others)
    if missing := [name for name in ids if name not in pairs]:
        raise UserError(
            f"{path} has no row for {len(missing):,} of the {len(ids):,} images of {table.path}, first "
            f"{', '.join(missing[:NAMED])}; its own ids are such as {', '.join(others[:NAMED])}: give the truth of the "
            "same images"
        )
    place = {name: i for i, name in enumerate(others)}
    rows = np.array([place[pairs[name]] for name in ids], np.int64)
    assert truth.label is not None
    label, said = truth.label.decide(decisions, others)
    known = label[rows]
    table.notes += [note for note in (*truth.notes, *said) if "have no known diagnosis" not in note]
    if unknown := int((known < 0).sum()):
        table.notes.append(f"{unknown:,} of {len(ids):,} images have no known diagnosis in {path} and are left out")
    if how:
        table.notes.append(f"images found in {path}: {', '.join(how)}")
    if len(others) > len(ids):
        table.notes.append(f"{path} has {len(others) - len(ids):,} images more, which have no score and are not judged")
    table.texts = {name: column[rows] for name, column in truth.texts.items()} | table.texts
    table.groups = table.groups or [column[rows] for column in truth.groups]
    return known


def _refuse_twice(ids: Sequence[str], path: str) -> None:
    seen = set[str]()
    for name in ids:
        if name in seen:
            raise UserError(f"{path}: image {name} appears more than once; give each image one row")
        seen.add(name)
