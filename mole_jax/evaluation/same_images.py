"""Several files over the same images, put in one order under one set of names, however each spells its ids."""

import dataclasses
import functools
from collections.abc import Mapping

import numpy as np

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.reading.read_table import GROUPS
from mole_jax.vocabulary.identity import pair_ids

NAMED = 3


def align(models: Mapping[str, Predictions]) -> tuple[dict[str, Predictions], list[str]]:
    """The models over the same images in the same order, under the same names, with the same groups.

    The first model's ids and order count; what a file does not know of groups, age, sex and the like is that of the
    first one that does.

    Returns:
        The models, and what was done, in sentences.

    Raises:
        UserError: other images, labels, lesions or patients than the first model's.
    """
    (first_name, first), *others = models.items()
    found, notes = {first_name: first}, [f"{first_name}: {note}" for note in first.notes]
    for name, other in others:
        found[name], how = _align(first, other)
        notes += [f"{name}: {note}" for note in other.notes]
        notes += [f"images of {name} matched to those of {first_name}: {', '.join(how)}"] if how else []
    for model in found.values():
        _refuse_others(first, model)
    for column in GROUPS:
        have = {name: of for name, model in found.items() if (of := getattr(model, column)) is not None}
        if not have:
            continue
        groups = functools.reduce(lambda known, other: np.where(known == "", other, known), have.values())
        found = {name: dataclasses.replace(model, **{column: groups}) for name, model in found.items()}
        if len(have) < len(found):
            notes.append(f"{column} is that of {' and '.join(have)} for all")
    known = {name: column for model in reversed(found.values()) for name, column in model.metadata.items()}
    return {
        name: dataclasses.replace(model, metadata={**known, **model.metadata}) for name, model in found.items()
    }, notes


def _align(first: Predictions, other: Predictions) -> tuple[Predictions, list[str]]:
    """`other` in the order of `first` and under its ids, and how ids were matched that are not written alike."""
    ids, others = first.image_id.tolist(), other.image_id.tolist()
    pairs, how = pair_ids(ids, others)
    for a, b, lacks in (
        (first, other, [name for name in ids if name not in pairs]),
        (other, first, sorted(set(others) - set(pairs.values()))),
    ):
        if lacks:
            raise UserError(
                f"{a.source} has {len(lacks):,} images that {b.source} lacks, first {', '.join(lacks[:NAMED])} "
                f"({b.source} has images such as {', '.join(map(str, b.image_id[:NAMED]))}); compare models on the "
                "same images"
            )
    place = {name: i for i, name in enumerate(others)}
    taken = other.take(np.array([place[pairs[name]] for name in ids], np.int64))
    return dataclasses.replace(taken, image_id=first.image_id), how


def _refuse_others(first: Predictions, other: Predictions) -> None:
    columns = {"label": "label", "lesion_id": "lesion", "patient_id": "patient"}
    for column, what in columns.items():
        mine, theirs = getattr(first, column), getattr(other, column)
        if mine is None or theirs is None:
            continue
        differ = np.flatnonzero((mine != theirs) & (column == "label" or ((mine != "") & (theirs != ""))))
        if len(differ):
            i = differ[0]
            raise UserError(
                f"image {first.image_id[i]} has {what} {mine[i]} in {first.source} but {theirs[i]} in {other.source} "
                f"({len(differ)} such images); compare models on the same data"
            )
