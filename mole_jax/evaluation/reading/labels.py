"""Melanoma or not, from what a column of labels holds: 0 and 1, booleans, -1 and 1, diagnoses, or as the user says."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import numpy as np
from jaxtyping import Integer

from mole_jax.errors import UserError
from mole_jax.evaluation.reading.numbers import unwrapped
from mole_jax.vocabulary.diagnoses import Decisions
from mole_jax.vocabulary.words import plain

BOOLEANS: Final = {
    **dict.fromkeys(("true", "t", "yes", "y", "positive", "pos"), 1),
    **dict.fromkeys(("false", "f", "no", "n", "negative", "neg"), 0),
}
MISSING: Final = frozenset({"", "nan", "na", "n a", "none", "null", "nil", "nat"})
LISTED: Final = 12


class Labels:
    """The labels of one column, piece by piece, each distinct text kept once."""

    def __init__(self, name: str, path: str) -> None:
        self._name, self._path = name, path
        self._codes: dict[str, int] = {}
        self._parts: list[Integer[np.ndarray, " n"]] = []

    def add(self, cells: Iterable[str]) -> None:
        """Takes the cells of some rows."""
        codes = self._codes
        self._parts.append(np.array([codes.setdefault(cell, len(codes)) for cell in cells], np.int32))

    def decide(self, decisions: Decisions, ids: Sequence[str]) -> tuple[Integer[np.ndarray, " n"], list[str]]:
        """1 melanoma, 0 not melanoma, -1 where the diagnosis is unknown; and what is to be said, in sentences.

        Raises:
            UserError: a label is missing, soft, or may mean melanoma or not.
        """
        of_image = np.concatenate(self._parts)
        counts = np.bincount(of_image, minlength=len(self._codes)).tolist()
        texts = {cell: unwrapped(cell) for cell in self._codes}
        for code, text in enumerate(texts.values()):
            if plain(text) in MISSING and "-" not in text:
                more = f", and {counts[code] - 1:,} more" if counts[code] > 1 else ""
                image = ids[int((of_image == code).argmax())]
                raise UserError(
                    f"{self._path}: the label of image {image} is missing{more}; give it one, or take out the row"
                )
        of_text, notes = self._meanings(dict(zip(texts.values(), counts, strict=False)), decisions)
        meaning = np.array([-1 if of_text[text] is None else of_text[text] for text in texts.values()], np.int64)
        label = meaning[of_image]
        if unknown := int((label < 0).sum()):
            words = sorted({text for text, verdict in of_text.items() if verdict is None})
            notes.append(
                f"{unknown:,} of {len(label):,} images have no known diagnosis ({', '.join(words[:LISTED])}) and are "
                "left out"
            )
        return label, notes

    def _meanings(self, counts: Mapping[str, int], decisions: Decisions) -> tuple[dict[str, int | None], list[str]]:
        numbers = {text: float(text) for text in counts if _is_number(text)}
        decided = bool(decisions.positive or decisions.negative)
        if len(numbers) == len(counts) and not decided:
            return self._of_numbers(numbers, counts)
        if not decided and all(plain(text) in BOOLEANS or numbers.get(text) in (0, 1) for text in counts):
            return {text: int(BOOLEANS.get(plain(text), numbers.get(text, 0))) for text in counts}, []
        if decided and (rest := decisions.only_other(counts)):
            decisions = dataclasses.replace(decisions, negative=(*decisions.negative, rest))
        where = f"column {self._name!r} of {self._path}"
        decisions.check((text for text, count in counts.items() for _ in range(count)), where)
        return {text: decisions.label(text) for text in counts}, []

    def _of_numbers(
        self, numbers: Mapping[str, float], counts: Mapping[str, int]
    ) -> tuple[dict[str, int | None], list[str]]:
        values = set(numbers.values())
        if values <= {0.0, 1.0}:
            return {text: int(value) for text, value in numbers.items()}, []
        if values == {-1.0, 1.0}:
            return {text: int(value == 1) for text, value in numbers.items()}, ["labels -1 count as not melanoma"]
        listed = ", ".join(f"{text} ({counts[text]:,})" for text in sorted(numbers, key=numbers.__getitem__)[:LISTED])
        more = f" and {len(numbers) - LISTED} more" if len(numbers) > LISTED else ""
        if any(value % 1 for value in values):
            raise UserError(
                f"{self._path}: the column {self._name} has labels that are neither 0 (not melanoma) nor 1 (melanoma): "
                f"{listed}{more}; soft labels and scores are no truth to judge by: decide each image, or name the "
                "column of labels with --columns=label=NAME"
            )
        others = ",".join(text for text in sorted(numbers, key=numbers.__getitem__)[:LISTED])
        raise UserError(
            f"{self._path}: the column {self._name} has labels that are neither 0 (not melanoma) nor 1 (melanoma): "
            f"{listed}{more}; say which mean melanoma with --positive=NUMBER, and where there are more than two, which "
            f"do not with --negative=NUMBER,NUMBER (out of {others})"
        )


def _is_number(text: str) -> bool:
    try:
        return bool(np.isfinite(float(text)))
    except ValueError:
        return False
