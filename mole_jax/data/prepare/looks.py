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


def join_by_looks(examples: Sequence[Example], scratch: Path) -> list[Example]:
    """Gives images that show one lesion one lesion_id, the first of theirs by the alphabet.

    Two lesions of the source of which one image each looks alike become one, and so on through others.

    Args:
        examples: with the rows of their pixels.
        scratch: the scratch file with those rows.

    Returns:
        The same examples in the same order.
    """
    from mole_jax.looks.fingerprints import fingerprints  # late: OpenCV and scikit-learn take a second
    from mole_jax.looks.near_duplicates import near_duplicates

    progress = tqdm(examples, unit=" images", desc="looking for one lesion's images", disable=None)
    pairs = near_duplicates(fingerprints(read_row(scratch, example.row) for example in progress))
    return one_lesion(examples, [(pair.query, pair.reference) for pair in pairs])
