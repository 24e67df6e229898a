"""Images of one dataset that show what a run has seen, recognised by their pixels however they were altered."""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from mole_jax.data.dataset import Dataset
from mole_jax.data.overlap import SEEN, Match, Overlap
from mole_jax.data.records import Split
from mole_jax.looks.fingerprints import fingerprints
from mole_jax.looks.near_duplicates import near_duplicates


def add_look_alikes(overlap: Overlap, seen: Dataset, other: Dataset, splits: Sequence[Split]) -> Overlap:
    """Adds the near duplicates to what was found by files, pixels and names.

    Args:
        overlap: the outcome of `find_overlap` on the same arguments; its images are not looked at again.
        seen: the dataset that the run was trained on; its test split does not count as seen.
        other: the dataset whose images are to be judged.
        splits: the splits of `other` to look at.
    """
    known = {match.image_id for match in overlap.matches}
    judged = [(split, i) for split in splits for i, row in enumerate(other.rows[split]) if row.image_id not in known]
    if not judged:
        return overlap
    before = [(split, i) for split in SEEN for i in range(len(seen.rows[split]))]
    pairs = near_duplicates(
        fingerprints(_images(other, judged, "looking at the images")),
        fingerprints(_images(seen, before, "looking at what the run has seen")),
    )
    matches: dict[str, Match] = {}
    for pair in pairs:  # for each image, the most similar first
        split, i = judged[pair.query]
        seen_in, j = before[pair.reference]
        how = "copy" if pair.copy else "photograph"
        image_id = other.rows[split][i].image_id
        matches.setdefault(image_id, Match(image_id, seen.rows[seen_in][j].image_id, seen_in, how))
    return Overlap(overlap.images, (*overlap.matches, *matches.values()))


def _images(
    dataset: Dataset, places: Sequence[tuple[Split, int]], what: str
) -> Iterator[UInt8[np.ndarray, "224 224 3"]]:
    for split, i in tqdm(places, unit=" images", desc=what, disable=None):
        yield dataset.splits[split][i]["image"]
