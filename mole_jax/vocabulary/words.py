"""Words as people spell them: one rule for what is the same word, and one for what says that nothing is known."""

import re
from typing import Final, Literal

# As `plain` writes them. "-", "?" and the like have no letter or digit, and so are empty.
UNKNOWN_WORDS: Final = frozenset({"", "nan", "na", "n a", "none", "null", "nil", "nat", "unk", "unknown", "not known"})
SEXES: Final = {"m": "male", "male": "male", "man": "male", "f": "female", "female": "female", "woman": "female"}

SPLIT_WORDS: Final[dict[str, Literal["train", "validation", "test"]]] = {
    "train sep": "train",
    "train": "train",
    "training": "train",
    "valid": "validation",
    "validation": "validation",
    "val": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
    "holdout": "test",
    "hold out": "test",
}


def plain(text: str) -> str:
    """The text without case and with one blank for whatever stands between letters and digits: "Not-Melanoma " and
    "not_melanoma" are both "not melanoma".
    """
    return re.sub(r"[\W_]+", " ", text.casefold()).strip()


def is_unknown(text: str) -> bool:
    """Whether a cell says that nothing is known: empty, or unknown, nan, NA, N/A, none, null, -, in any case."""
    return plain(text) in UNKNOWN_WORDS


def known(text: str) -> str:
    """The text, or "" where it says that nothing is known."""
    return "" if is_unknown(text) else text
