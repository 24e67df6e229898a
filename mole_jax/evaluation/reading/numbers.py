"""Scores and logits from texts: with decimal points or commas, percent signs, and what NumPy and torch print."""

import re
from collections import Counter
from collections.abc import Sequence
from typing import Final

import numpy as np
from jaxtyping import Float, Shaped

from mole_jax.errors import UserError
from mole_jax.vocabulary.words import is_unknown

NUMBER: Final = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?"
# [0.73], tensor(0.73), tensor([0.73], device='cuda:0'), np.float32(0.73), array([0.73], dtype=float32)
WRAPPED: Final = re.compile(rf"[\w.]*[\[(]+\s*({NUMBER}|nan|True|False)\s*[\])]*(?:\s*,\s*\w+=[^,]*)*[\])]*")
DUST: Final = 1e-6  # beyond [0, 1] a softmax in single precision may end
PERCENT: Final = 100.0
# Numbers above 1 without a sign are percent where the largest is beyond any logit of a probability that anyone
# prints, and most are above 1.
SURELY_PERCENT: Final = 20.0
DECIMAL_COMMA, PERCENT_SIGN, POINT = "a decimal comma", "a percent sign", "a decimal point"


def unwrapped(text: str) -> str:
    """A cell without the brackets that NumPy and torch print around one number."""
    text = text.strip()
    whole = WRAPPED.fullmatch(text)
    return whole[1] if whole else text


class Numbers:
    """The numbers of one column, piece by piece; NaN where there is none."""

    def __init__(self, name: str, path: str) -> None:
        self._name, self._path = name, path
        self._parts: list[Float[np.ndarray, " n"]] = []
        self._styles = Counter[str]()

    def add(self, cells: Sequence[str], ids: Sequence[str]) -> None:
        """Reads the cells of some rows.

        Raises:
            UserError: one of them is no number; says which, and what it looks like.
        """
        try:
            self._parts.append(np.fromiter(map(float, cells), np.float64, len(cells)))
        except ValueError:
            numbers = (self._number(cell, image) for cell, image in zip(cells, ids, strict=True))
            self._parts.append(np.fromiter(numbers, np.float64, len(cells)))

    def _number(self, cell: str, image: str) -> float:
        text = unwrapped(cell)
        if is_unknown(text):
            return np.nan
        sign = text.endswith("%")
        number = text.removesuffix("%").strip()
        if re.fullmatch(r"[+-]?\d*,\d+(?:[eE][+-]?\d+)?", number):
            number = number.replace(",", ".")
            self._styles[DECIMAL_COMMA] += 1
        elif "." in number:
            self._styles[POINT] += 1
        try:
            value = float(number)
        except ValueError:
            raise UserError(
                f"{self._path}: {self._name} {cell!r} of image {image} is not a number{_looks_like(text)}"
            ) from None
        if sign:
            self._styles[PERCENT_SIGN] += 1
            return value / PERCENT
        return value

    def values(self) -> Float[np.ndarray, " n"]:
        """All of them.

        Raises:
            UserError: some have decimal commas and others points, or some have percent signs and others none.
        """
        numbers = np.concatenate(self._parts)
        self._parts = []
        there = int((~np.isnan(numbers)).sum())
        if self._styles[DECIMAL_COMMA] and self._styles[POINT]:
            raise UserError(
                f"{self._path}: the column {self._name} has numbers with decimal commas and with decimal points; write "
                "all with points"
            )
        if 0 < self._styles[PERCENT_SIGN] < there:
            raise UserError(
                f"{self._path}: {self._styles[PERCENT_SIGN]:,} of {there:,} numbers in the column {self._name} have a "
                "percent sign and the others none; write all one way"
            )
        return numbers

    @property
    def percent(self) -> bool:
        """Whether the numbers had percent signs."""
        return self._styles[PERCENT_SIGN] > 0


def as_scores(
    numbers: Numbers, ids: Sequence[str] | Shaped[np.ndarray, " n"], path: str
) -> tuple[Float[np.ndarray, " n"], list[str]]:
    """Probabilities of melanoma from a column of numbers, and what was done to them, in sentences.

    Raises:
        UserError: one is missing; one is not in [0, 1], and what the column looks like.
    """
    score, notes = numbers.values(), list[str]()
    missing = np.isnan(score)
    if missing.any():
        i = int(missing.argmax())
        raise UserError(
            f"{path}: the score of image {ids[i]} is missing{_and_more(int(missing.sum()))}; score every image, or "
            "take out the rows and say so where you report the numbers"
        )
    if numbers.percent:
        notes.append("scores with percent signs were divided by 100")
    elif score.min() >= 0 and SURELY_PERCENT < score.max() <= PERCENT and np.mean(score > 1) > 0.5:
        score = score / PERCENT
        notes.append("scores from 0 to 100 were taken as percent and divided by 100")
    dust = ((score < 0) & (score >= -DUST)) | ((score > 1) & (score <= 1 + DUST))
    if dust.any():
        farthest = float(score[dust][np.abs(score[dust] - 0.5).argmax()])
        count = int(dust.sum())
        notes.append(
            f"{count:,} {'scores were' if count > 1 else 'score was'} just outside [0, 1] ({farthest:.10g}) and clipped"
        )
        score = np.where(dust, np.clip(score, 0, 1), score)
    wrong = ~((score >= 0) & (score <= 1))
    if wrong.any():
        i = int(wrong.argmax())
        raise UserError(f"{path}: score {score[i]} of image {ids[i]} is not in [0, 1]; {_remedy(score)}")
    return score, notes


def _remedy(score: Float[np.ndarray, " n"]) -> str:
    low, high = score.min(), score.max()
    if low < 0:
        return (
            f"the scores lie between {low:g} and {high:g}; a score is the probability of melanoma, so pass logits "
            "through a sigmoid"
        )
    if high <= PERCENT:
        return (
            f"the scores lie between {low:g} and {high:g}; write percent with its sign (73%), pass logits through a "
            "sigmoid, and divide points by their number"
        )
    return f"the scores lie between {low:g} and {high:g}; a score is the probability of melanoma"


def _looks_like(text: str) -> str:
    inside = re.findall(NUMBER, text)
    if len(inside) > 1 and text[:1] in "[(":
        return f"; it holds {len(inside)} numbers: write the probability of melanoma alone"
    if re.fullmatch(r"[+-]?[\d.,]+", text):
        return "; write it with a decimal point and without marks between thousands"
    return "; a score is a number between 0 and 1"


def _and_more(count: int) -> str:
    return "" if count == 1 else f", and {count - 1:,} more"
