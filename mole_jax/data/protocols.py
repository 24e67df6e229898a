"""Who goes into which split. A protocol sees what is known of the images, never their pixels."""

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from mole_jax.data.records import CLASSES, SPLITS, Example, Split
from mole_jax.errors import UserError

GROUPED_FRACTIONS: Final[dict[Split, float]] = {"train": 0.6, "validation": 0.2, "test": 0.2}


@dataclass(frozen=True)
class Protocol:
    """A way of splitting.

    Attributes:
        assign: (examples, seed) -> the split of each example.
        description: one line for people.
        leaky: whether it leaks by construction; `find_leak` looks at the outcome of the others.
    """

    assign: Callable[[Sequence[Example], int], list[Split]]
    description: str
    leaky: bool = False


def choose_protocol(protocol: str, layout: str) -> str:
    """Replaces "auto" by the layout's own: `given` where the source has split folders, else `grouped`.

    Raises:
        UserError: an unknown protocol, or `given` for a source without split folders.
    """
    if protocol == "auto":
        return "given" if layout == "kaggle" else "grouped"
    if protocol not in PROTOCOLS:
        raise UserError(f"protocol {protocol!r} is not one of auto, {', '.join(PROTOCOLS)}")
    if protocol == "given" and layout != "kaggle":
        raise UserError(
            f"protocol given needs split folders, which the layout {layout} does not have; give --protocol=grouped"
        )
    return protocol


def shuffle_key(seed: int, purpose: str, name: str) -> bytes:
    """A pseudo-random sort key: the same for ever, whatever the library versions and the order of the source."""
    return hashlib.sha256(f"{seed}/{purpose}/{name}".encode()).digest()


def group_examples(examples: Sequence[Example]) -> list[list[int]]:
    """The indices of examples that must stay together: those that share a lesion, or are the same file byte for byte.

    Sharing is transitive: if a and b are one lesion, and b and c one file, all three are one group.
    """
    parent = list(range(len(examples)))

    def root(i: int) -> int:
        while parent[i] != i:
            parent[i] = i = parent[parent[i]]
        return i

    first: dict[tuple[str, str], int] = {}
    for i, example in enumerate(examples):
        for key in (("lesion", example.lesion_id), ("file", example.sha256)):
            parent[root(i)] = root(first.setdefault(key, i))
    groups = defaultdict(list)
    for i in range(len(examples)):
        groups[root(i)].append(i)
    return list(groups.values())


def find_leak(examples: Sequence[Example], splits: Sequence[Split]) -> str:
    """Why scores on these splits would flatter, in one phrase; "" if nothing is found.

    Looks for lesions and files that lie in more than one split, and for augmented copies (the Kaggle set's AUG_*)
    outside of training, whose originals are unknown.
    """
    for noun, key in (
        ("lesion", lambda example: example.lesion_id),
        ("identical file", lambda example: example.sha256),
    ):
        where = defaultdict(set)
        for example, split in zip(examples, splits, strict=True):
            where[key(example)].add(split)
        if straddling := sum(len(splits_of_one) > 1 for splits_of_one in where.values()):
            return f"{straddling} {noun}{'s' * (straddling > 1)} in more than one split"
    pairs = zip(examples, splits, strict=True)
    copies = sum(split != "train" and example.image_id.startswith("AUG_") for example, split in pairs)
    return f"{copies} augmented copies (AUG_*) of unknown originals outside of training" if copies else ""


def check_splits(examples: Sequence[Example], splits: Sequence[Split]) -> None:
    """Raises UserError unless every split has images of both classes."""
    counts = Counter((split, example.label) for example, split in zip(examples, splits, strict=True))
    for split in SPLITS:
        for label, name in enumerate(CLASSES):
            if not counts[split, label]:
                total = sum(example.label == label for example in examples)
                raise UserError(
                    f"the {split} split would hold no {name} image, of {total} usable ones; "
                    "add images or choose another --protocol"
                )


def _given(examples: Sequence[Example], seed: int) -> list[Split]:
    """The source's own split folders."""
    del seed
    splits = [example.given_split for example in examples]
    assert None not in splits, "choose_protocol has refused sources without splits"
    return [split for split in splits if split is not None]


def _grouped(examples: Sequence[Example], seed: int) -> list[Split]:
    """60/20/20 of each class, whole groups at a time.

    The groups come in a seeded order, the largest first; each goes to the split that lacks the largest share of what it
    should hold of the group's commoner class. So every split is within one group of its target.
    """
    groups = group_examples(examples)
    groups.sort(key=lambda group: (-len(group), shuffle_key(seed, "grouped", min(examples[i].image_id for i in group))))
    labels = np.array([example.label for example in examples])
    fractions = np.array([GROUPED_FRACTIONS[split] for split in SPLITS])
    targets = fractions[:, None] * np.bincount(labels, minlength=len(CLASSES))  # [split, class]
    placed = np.zeros_like(targets)
    result: list[Split] = ["train"] * len(examples)
    for group in groups:
        counts = np.bincount(labels[group], minlength=len(CLASSES))
        label = counts.argmax()
        split = int(np.argmax(1 - placed[:, label] / targets[:, label]))
        placed[split] += counts
        for i in group:
            result[i] = SPLITS[split]
    return result


# Literal, so that a reader finds every protocol here.
PROTOCOLS: Final[dict[str, Protocol]] = {
    "given": Protocol(_given, "the source's own splits"),
    "grouped": Protocol(_grouped, "60/20/20, stratified by label, whole lesions, natural prevalence"),
}
