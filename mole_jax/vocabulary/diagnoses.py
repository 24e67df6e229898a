"""Diagnoses: what each word for one means here, melanoma, not melanoma, or unknown.

diagnoses.csv has every spelling that the public sets use, with the sets. Melanoma in situ, lentigo maligna (which is
melanoma in situ of sun-damaged skin) and metastases of melanoma count as melanoma, as in the ISIC Archive and derm7pt.
"Malignant" is not in it, since carcinomas are malignant too: whoever has it decides what it means.
"""

import csv
import functools
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from mole_jax.errors import UserError
from mole_jax.vocabulary.words import is_unknown, plain

# What is no melanoma, as HAM10000 and ISIC 2018 group it: solar lentigines are among the keratoses, actinic keratoses
# and Bowen's disease among the squamous cell carcinomas.
GROUPS: Final = (
    "nevus",
    "keratosis",
    "basal cell carcinoma",
    "squamous cell carcinoma",
    "dermatofibroma",
    "vascular lesion",
    "other",
)
VERDICTS: Final[dict[str, int | None]] = {"melanoma": 1, "not melanoma": 0, "unknown": None}
LISTED: Final = 12
# Between a broader diagnosis and a narrower one.
BETWEEN: Final = "::"


@dataclass(frozen=True)
class Decisions:
    """What the user has decided of diagnoses; it goes before the vocabulary.

    Attributes:
        positive: diagnoses that count as melanoma.
        negative: diagnoses that do not.
    """

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Raises UserError where a diagnosis is decided both ways, or an unknown one is to count as no melanoma."""
        if both := {_word(value) for value in self.positive} & {_word(value) for value in self.negative}:
            raise UserError(f"{min(both)!r} is in --positive and in --negative; leave it in one of them")
        if unknown := [value for value in self.negative if _verdict(value) == "unknown"]:
            raise UserError(
                f"--negative={unknown[0]}: a lesion whose diagnosis is unknown may be a melanoma and cannot count as "
                "none; leave it out, and its images are quarantined"
            )

    @functools.cached_property
    def _decided(self) -> dict[str, int]:
        return {_word(value): 1 for value in self.positive} | {_word(value): 0 for value in self.negative}

    def label(self, diagnosis: str) -> int | None:
        """1 melanoma, 0 not melanoma, None where the diagnosis is unknown or says nothing of it.

        Raises:
            KeyError: it is neither decided nor in the vocabulary; `check` says so to people.
        """
        parts = _narrowest_first(diagnosis)
        for part in parts:
            if (word := _word(part)) in self._decided:
                return self._decided[word]
            if (verdict := _verdict(part)) is not None:
                return VERDICTS[verdict]
        if not parts:
            return None
        raise KeyError(diagnosis)

    def decides(self, diagnosis: str) -> bool:
        """Whether `label` has an answer."""
        try:
            self.label(diagnosis)
        except KeyError:
            return False
        return True

    def only_other(self, diagnoses: Iterable[str]) -> str:
        """The one value beside those that the user calls positive, where there is exactly one and nothing is known of
        it: with --positive=1 in a column of 0 and 1, the 0. "" otherwise.
        """
        words = {_word(value): value for value in diagnoses if _verdict(value) != "unknown"}
        others = {word: value for word, value in words.items() if self._decided.get(word) != 1}
        if len(others) != 1 or len(words) < 2 or self.negative or _verdict(value := next(iter(others.values()))):
            return ""
        return value

    def check(self, diagnoses: Iterable[str], where: str) -> None:
        """Raises UserError where some of the diagnoses are neither decided nor in the vocabulary.

        Args:
            diagnoses: as the source writes them, one for each image.
            where: where they stand, such as "column 'dx' of metadata.csv".
        """
        counts = Counter(value for value in diagnoses if not self.decides(value))
        if not counts:
            return
        listed = ", ".join(f"{value} ({count:,})" for value, count in counts.most_common(LISTED))
        more = f" and {len(counts) - LISTED} more" if len(counts) > LISTED else ""
        raise UserError(
            f"{where} has {len(counts)} value{'s' * (len(counts) > 1)} that may mean melanoma or not: {listed}{more}; "
            "say which with --positive=VALUE,VALUE (melanoma) and --negative=VALUE,VALUE (not melanoma)"
        )


NO_DECISIONS: Final = Decisions()


class Meaning(NamedTuple):
    """What a word of diagnoses.csv says.

    Attributes:
        verdict: a key of VERDICTS.
        group: of what is no melanoma one of GROUPS, "" where the word does not tell.
    """

    verdict: str
    group: str


@functools.cache
def vocabulary() -> dict[str, Meaning]:
    """The words of diagnoses.csv, as `words.plain` writes them."""
    with (Path(__file__).parent / "diagnoses.csv").open(encoding="utf-8", newline="") as file:
        return {row["spelling"]: Meaning(row["verdict"], row["group"]) for row in csv.DictReader(file)}


def group(diagnosis: str) -> str:
    """Which of GROUPS a diagnosis belongs to; "" for a melanoma, and where nothing is known of it."""
    for part in _narrowest_first(diagnosis):
        if meaning := vocabulary().get(plain(part)):
            return meaning.group
    return ""


def _narrowest_first(diagnosis: str) -> list[str]:
    """The parts of "Benign::Benign melanocytic proliferations::Nevus", as the ISIC Archive writes it, Nevus first; what
    is not known is left out.
    """
    parts = diagnosis.split(BETWEEN)
    return [part for part in reversed(parts) if len(parts) == 1 or not is_unknown(part)]


def _word(text: str) -> str:
    """The word as it is compared; 1.0 and +1 are 1, and -1 is not."""
    whole = re.fullmatch(r"\s*\+?(-?\d+)(\.0*)?\s*", text)
    return whole[1] if whole else plain(text)


def _verdict(diagnosis: str) -> str | None:
    if is_unknown(diagnosis):
        return "unknown"
    meaning = vocabulary().get(plain(diagnosis))
    return meaning.verdict if meaning else None
