"""The rows of one file by its column `split`: test rows are judged, validation rows choose thresholds."""

import dataclasses

import numpy as np

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions
from mole_jax.vocabulary.words import SPLIT_WORDS, plain

NAMED = 5


def by_split(predictions: Predictions) -> dict[str, Predictions]:
    """`train`, `validation` and `test`, those there are; all is `test` where no column says otherwise.

    The notes go with `test`. Rows whose cell names no split are left out, with a note, unless none does.
    """
    texts = predictions.metadata.get("split")
    if texts is None or not (texts != "").any():
        return {"test": predictions}
    names, place = np.unique(texts, return_inverse=True)
    splits = np.array([SPLIT_WORDS.get(plain(str(name)), "") for name in names], np.str_)[place]
    strange = ", ".join(map(str, np.unique(texts[splits == ""])[:NAMED]))
    if not (splits != "").any():
        note = f"the column split is not used: its values ({strange}) are no names of splits"
        return {"test": dataclasses.replace(predictions, notes=(*predictions.notes, note))}
    found = {name: predictions.select(splits == name) for name in ("train", "validation", "test") if name in splits}
    notes = [*predictions.notes]
    if len(found) > 1:
        sizes = ", ".join(f"{split.n:,} {name}" for name, split in found.items())
        notes.append(f"the column split of {predictions.source} has {sizes} rows, and each goes where it belongs")
    if left := int((splits == "").sum()):
        notes.append(f"{left:,} rows whose split is no name of one ({strange or 'empty'}) are left out")
    return {
        name: dataclasses.replace(split, notes=tuple(notes) if name == "test" else ()) for name, split in found.items()
    }


def rows_of(predictions: Predictions, wanted: str) -> Predictions:
    """The rows of one split, or all where the file has no column that says.

    Args:
        predictions: of a file.
        wanted: test or validation.

    Raises:
        UserError: the file says of its rows that they are others.
    """
    found = by_split(predictions)
    if list(found) == ["test"] and "split" not in predictions.metadata:
        return predictions
    if wanted not in found:
        sizes = ", ".join(f"{split.n:,} {name}" for name, split in found.items())
        raise UserError(
            f"{predictions.source} has no {wanted} rows: its column split says {sizes}; training rows are never judged "
            f"as test, nor test rows chosen on, so give the file of the {wanted} images, or remove the column if it "
            "is wrong"
        )
    return found[wanted]
