"""Who goes into which split, and which copies are made. A protocol sees what is known of the images, not their pixels.

The three `paper` protocols take apart what flatters in the paper's data set, HAM10000 with its melanomas augmented
about eightfold before it was split: `paper` rebuilds it, `paper_by_lesion` corrects the split alone, `paper_clean` also
keeps augmentation out of validation and test.
"""

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mole_jax.data.groups import connected
from mole_jax.data.records import CLASSES, COPY_PREFIX, SPLITS, Example, Placed, Record, Split, is_copy_name
from mole_jax.errors import UserError

GROUPED_FRACTIONS: Final[dict[Split, float]] = {"train": 0.6, "validation": 0.2, "test": 0.2}
# Of a training split, for a source that has no validation split.
CARVED_FRACTIONS: Final[dict[Split, float]] = {"train": 0.75, "validation": 0.25}
# How the splits of a source are ignored, by its layout.
WITHOUT_SPLITS: Final = {
    "kaggle": "--layout=folder",
    "table": "leave --split out, or name one table,",
    "ham10000": "move the tables of the other splits away",
    "npz": "another source",
}


@dataclass(frozen=True)
class Protocol:
    """A way of splitting.

    Attributes:
        assign: (examples, seed) -> what the dataset holds and in which split; copies (`Example.as_copy`) still without
            pixels of their own.
        description: one line for people.
        leaky: whether it flatters models by construction; `leaks.find_leak` looks at the outcome of the others.
        augments: whether it makes copies.
        splits: the splits that it fills; the others stay empty.
    """

    assign: Callable[[Sequence[Example], int], list[Placed]]
    description: str
    leaky: bool = False
    augments: bool = False
    splits: tuple[Split, ...] = SPLITS


def choose_protocol(protocol: str, layout: str, *, has_splits: bool) -> str:
    """Replaces "auto" by the source's own: `given` where it has splits, else `grouped`.

    Args:
        protocol: a key of PROTOCOLS, or "auto".
        layout: the source's layout.
        has_splits: whether the source says which split its images belong to.

    Raises:
        UserError: an unknown protocol, `given` for a source without splits, or one that augments for a source with
            them.
    """
    if protocol == "auto":
        return "given" if has_splits else "grouped"
    if protocol not in PROTOCOLS:
        raise UserError(f"protocol {protocol!r} is not one of auto, {', '.join(PROTOCOLS)}")
    if protocol == "given" and not has_splits:
        raise UserError(
            f"protocol given needs split folders, which the layout {layout} does not have; give --protocol=grouped, or "
            "--table=FILE with --split=COLUMN"
        )
    if PROTOCOLS[protocol].augments and has_splits:
        raise UserError(
            f"protocol {protocol} augments and splits a source of originals, and this one has splits of its own; "
            f"give --protocol=given to keep them, or {WITHOUT_SPLITS[layout]} to ignore them"
        )
    return protocol


def check_source(records: Sequence[Record], protocol: str) -> None:
    """Refuses what a protocol that augments cannot work with, before anything is decoded.

    Raises:
        UserError: the source holds copies already, or too few lesions for every split to have one.
    """
    if not PROTOCOLS[protocol].augments:
        return
    if copies := [record.image_id for record in records if is_copy_name(record.image_id)]:
        raise UserError(
            f"protocol {protocol} makes augmented copies of originals, and the source holds {len(copies)} already, "
            f"such as {copies[0]!r}; give --protocol=grouped, or a source of originals alone"
        )
    for label, name in enumerate(CLASSES):
        lesions = len({record.lesion_id for record in records if record.label == label})
        if lesions < len(SPLITS):
            raise UserError(
                f"protocol {protocol} needs {len(SPLITS)} {name} lesions, one a split, and the source has {lesions}; "
                "add images"
            )


def shuffle_key(seed: int, purpose: str, name: str) -> bytes:
    """A pseudo-random sort key that never changes, whatever the library versions and the order of the source."""
    return hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()


def group_examples(examples: Sequence[Example]) -> list[list[int]]:
    """The indices of examples that must stay together: those that share a lesion or a patient, or are one file byte for
    byte.

    Sharing is transitive: if a and b are one lesion, and b and c one file, all three are one group. Patients who are
    not known are nobody's.
    """
    first: dict[tuple[str, str], int] = {}
    pairs = [
        (i, first.setdefault(key, i))
        for i, example in enumerate(examples)
        for key in (("lesion", example.lesion_id), ("patient", example.patient_id), ("file", example.sha256))
        if key != ("patient", "")
    ]
    groups = defaultdict(list)
    for i, group in enumerate(connected(len(examples), pairs).tolist()):
        groups[group].append(i)
    return list(groups.values())


def check_splits(placed: Sequence[Placed], filled: Sequence[Split] = SPLITS) -> None:
    """Raises UserError unless every split that is to be filled has images of both classes."""
    counts = Counter((split, example.label) for example, split in placed)
    for split in filled:
        for label, name in enumerate(CLASSES):
            if not counts[split, label]:
                of_class = [example for example, _ in placed if example.label == label]
                groups = len(group_examples(of_class)) if of_class else 0
                tied = f" in {groups} groups (of lesion, patient or file)" if groups < len(of_class) else ""
                raise UserError(
                    f"the {split} split would hold no {name} image, of {len(of_class)} usable ones{tied}; "
                    "add images or choose another --protocol"
                )


def _given(examples: Sequence[Example], seed: int) -> list[Placed]:
    """The source's own splits; where it has training and test alone, a quarter of training becomes validation."""
    placed = [(example, example.given_split) for example in examples if example.given_split is not None]
    assert len(placed) == len(examples), "choose_protocol has refused sources without splits"
    if {split for _, split in placed} != {"train", "test"}:
        return placed
    training = [i for i, (_, split) in enumerate(placed) if split == "train"]
    for i, one in zip(training, _by_groups([examples[i] for i in training], seed, CARVED_FRACTIONS), strict=True):
        placed[i] = one
    return placed


def _grouped(examples: Sequence[Example], seed: int) -> list[Placed]:
    """60/20/20 of each class, whole groups at a time."""
    return _by_groups(examples, seed, GROUPED_FRACTIONS)


def _by_groups(examples: Sequence[Example], seed: int, of_splits: Mapping[Split, float]) -> list[Placed]:
    """These fractions of each class, whole groups at a time.

    The groups come in a seeded order, the largest first; each goes to the split that lacks the largest share of what it
    should hold of the group's commoner class. So every split is within one group of its target.
    """
    groups = group_examples(examples)
    groups.sort(key=lambda group: (-len(group), shuffle_key(seed, "grouped", min(examples[i].image_id for i in group))))
    labels = np.array([example.label for example in examples])
    splits = list(of_splits)
    fractions = np.array([of_splits[split] for split in splits])
    targets = fractions[:, None] * np.bincount(labels, minlength=len(CLASSES))  # [split, class]
    placed = np.zeros_like(targets)
    result: list[Split] = ["train"] * len(examples)
    for group in groups:
        counts = np.bincount(labels[group], minlength=len(CLASSES))
        label = counts.argmax()
        split = int(np.argmax(1 - placed[:, label] / targets[:, label]))
        placed[split] += counts
        for i in group:
            result[i] = splits[split]
    return list(zip(examples, result, strict=True))


def _paper(examples: Sequence[Example], seed: int) -> list[Placed]:
    """Augment, then 60/20/20 of each class by image, whatever lesion it shows."""
    placed: list[Placed] = []
    images = _augmented(examples, seed)
    for label in range(len(CLASSES)):
        of_class = [example for example in images if example.label == label]
        of_class.sort(key=lambda example: shuffle_key(seed, "paper", example.image_id))
        train = 3 * len(of_class) // 5
        validation = train + (len(of_class) - train + 1) // 2
        for split, start, end in zip(SPLITS, (0, train, validation), (train, validation, None), strict=True):
            placed += [(example, split) for example in of_class[start:end]]
    return placed


def _paper_by_lesion(examples: Sequence[Example], seed: int) -> list[Placed]:
    """The images of `_paper`, split by lesion."""
    return _grouped(_augmented(examples, seed), seed)


def _paper_clean(examples: Sequence[Example], seed: int) -> list[Placed]:
    """The splits of `_grouped`, balanced: training by copies beside the originals, the others by leaving images out."""
    grouped = _grouped(examples, seed)
    check_splits(grouped)
    placed: list[Placed] = []
    for split in SPLITS:
        members = [example for example, of_split in grouped if of_split == split]
        minority = _minority(members)
        fewer = [example for example in members if example.label == minority]
        more = [example for example in members if example.label != minority]
        if split == "train":
            ours = {example.image_id for example in fewer}
            copies = (copy for copy in _copies(examples, minority, seed) if copy.augmented_from in ours)
            fewer += itertools.islice(copies, len(more) - len(fewer))
        else:
            more.sort(key=lambda example: shuffle_key(seed, "balance", example.image_id))
        placed += [(example, split) for example in (*fewer, *more[: len(fewer)])]
    return placed


def _augmented(examples: Sequence[Example], seed: int) -> list[Example]:
    """The larger class as it is, and the smaller one replaced by its copies, one more than the larger class has."""
    minority = _minority(examples)
    majority = [example for example in examples if example.label != minority]
    return [*majority, *itertools.islice(_copies(examples, minority, seed), len(majority) + 1)]


def _copies(examples: Sequence[Example], label: int, seed: int) -> Iterator[Example]:
    """Endless copies of a class, numbered consecutively: the first of each original, then the second of each, ..."""
    originals = [example for example in examples if example.label == label]
    originals.sort(key=lambda example: shuffle_key(seed, "augment", example.image_id))
    for number in itertools.count():
        copy, which = divmod(number, len(originals))
        yield originals[which].as_copy(copy + 1, f"{COPY_PREFIX}0_{number}")


def _minority(examples: Sequence[Example]) -> int:
    """The label of the class with fewer images, melanoma where both have as many."""
    melanomas = sum(example.label for example in examples)
    return int(2 * melanomas <= len(examples))


def _external(examples: Sequence[Example], seed: int) -> list[Placed]:
    """Everything in test: for images that nothing is trained on."""
    del seed
    return [(example, "test") for example in examples]


# Literal, so that a reader finds every protocol here.
PROTOCOLS: Final[dict[str, Protocol]] = {
    "given": Protocol(_given, "the source's own splits"),
    "grouped": Protocol(_grouped, "60/20/20, stratified by label, whole lesions and patients, natural prevalence"),
    "paper": Protocol(
        _paper,
        "the paper's set rebuilt: melanomas replaced by augmented copies, as many as moles, then 60/20/20 by image",
        leaky=True,
        augments=True,
    ),
    "paper_by_lesion": Protocol(
        _paper_by_lesion, "the images of paper, 60/20/20 by whole lesions", leaky=True, augments=True
    ),
    "paper_clean": Protocol(
        _paper_clean,
        "the splits of grouped, balanced: training by augmented copies, validation and test by leaving images out",
        augments=True,
    ),
    "external": Protocol(
        _external, "all images in test, to validate runs that were trained elsewhere", splits=("test",)
    ),
}
