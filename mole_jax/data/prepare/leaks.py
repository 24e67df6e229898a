"""What in the outcome of a split would flatter a model, judged by what is known of the images, not by their pixels."""

from collections import defaultdict
from collections.abc import Sequence

from mole_jax.data.records import CLASSES, Placed, is_copy_name


def find_leak(placed: Sequence[Placed]) -> str:
    """Why scores on these splits would flatter, in one phrase; "" if nothing is found.

    Looks for copies whose original has another copy in training, for lesions, patients and files that lie in more than
    one split, for augmented copies (the Kaggle set's AUG_*) outside of training whose originals are unknown, and for
    augmentation that tells the classes apart outside of training.
    """
    return "; ".join(filter(None, (_siblings(placed), _straddling(placed), _unknown(placed), _artefacts(placed))))


def _siblings(placed: Sequence[Placed]) -> str:
    trained = {example.augmented_from or example.image_id for example, split in placed if split == "train"}
    found = []
    for held_out in ("test", "validation"):
        copies = [example for example, split in placed if split == held_out and example.augmented_from]
        if siblings := sum(copy.augmented_from in trained for copy in copies):
            found.append(f"{siblings:,} of {len(copies):,} augmented copies in {held_out}")
    return f"{' and '.join(found)} come from an original that training has seen" if found else ""


def _straddling(placed: Sequence[Placed]) -> str:
    found = []
    for noun, key in (
        ("lesion", lambda example: example.lesion_id),
        ("patient", lambda example: example.patient_id),
        ("identical file", lambda example: example.sha256),
    ):
        where = defaultdict(set)
        for example, split in placed:
            if key(example):
                where[key(example)].add(split)
        if straddling := sum(len(splits_of_one) > 1 for splits_of_one in where.values()):
            found.append(f"{straddling:,} {noun}{'s' * (straddling > 1)}")
    return f"{' and '.join(found)} in more than one split" if found else ""


def _unknown(placed: Sequence[Placed]) -> str:
    copies = sum(
        split != "train" and is_copy_name(example.image_id) and not example.augmented_from for example, split in placed
    )
    return f"{copies:,} augmented copies (AUG_*) of unknown originals outside of training" if copies else ""


def _artefacts(placed: Sequence[Placed]) -> str:
    held_out = [example for example, split in placed if split != "train"]
    labels = {example.label for example in held_out if example.augmented_from}
    if len(labels) != 1:
        return ""
    name = CLASSES[labels.pop()]
    return f"only {name}s are augmented copies, outside of training too, and the traces of augmentation give them away"
