"""Images that show one lesion, told by their pixels where the source does not say it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, get_args

from tqdm import tqdm

from mole_jax.data.groups import one_lesion
from mole_jax.data.prepare.scratch import read_row
from mole_jax.data.records import Example

ByLooks = Literal["auto", "on", "off"]
BY_LOOKS: Final[tuple[ByLooks, ...]] = get_args(ByLooks)


# Fewer pixels a side hold no details to tell a lesion by; it is the size at which they are looked for
# (`looks.fingerprints.SIDE`).
SMALLEST: Final = 112


def join_by_looks(examples: Sequence[Example], scratch: Path) -> list[Example]:
    """Gives images that show one lesion one lesion_id, the first of theirs by the alphabet.

    Two lesions of the source of which one image each looks alike become one, and so on through others. Images that were
    smaller than SMALLEST are left as they are.

    Args:
        examples: with the rows of their pixels.
        scratch: the scratch file with those rows.

    Returns:
        The same examples in the same order.
    """
    from mole_jax.looks.fingerprints import fingerprints  # late: OpenCV and scikit-learn take a second
    from mole_jax.looks.near_duplicates import near_duplicates

    places = [i for i, example in enumerate(examples) if not is_small(example)]
    progress = tqdm(places, unit=" images", desc="looking for one lesion's images", disable=None)
    pairs = near_duplicates(fingerprints(read_row(scratch, examples[i].row) for i in progress))
    return one_lesion(examples, [(places[pair.query], places[pair.reference]) for pair in pairs])


def is_small(example: Example) -> bool:
    """Whether an image is too small to tell its lesion by its looks."""
    return min(example.width, example.height) < SMALLEST
