"""What the user says of a source where its files do not."""

from dataclasses import dataclass
from typing import Final

from mole_jax.data.source.diagnoses import NO_DECISIONS, Decisions


@dataclass(frozen=True)
class Choices:
    """What the user says of a source.

    Attributes:
        decisions: which diagnoses count as melanoma and which do not, beyond the vocabulary.
    """

    decisions: Decisions = NO_DECISIONS


NO_CHOICES: Final = Choices()
