"""Which images show the same lesion, judged by their pixels alone."""

import hashlib
from dataclasses import dataclass
from typing import Final

from tqdm import tqdm

from mole_jax.looks.alignment import align
from mole_jax.looks.candidates import candidates
from mole_jax.looks.fingerprints import Fingerprints
from mole_jax.looks.threads import threaded_map

# Measured on HAM10000: the details of unrelated lesions agree up to .36, those of one lesion's photographs, where they
# are found at all, mostly beyond .6. RESULTS.md has the measurements.
SAME_LESION: Final = 0.4
# Copies correlate beyond .87 and differ by .34 grey levels in the median, 95 % by less than .96; other photographs of
# the same lesion by 2 at least. RESULTS.md has the measurements.
SAME_PHOTOGRAPH: Final = 0.85
MAX_DIFFERENCE: Final = 1.2


@dataclass(frozen=True)
class Pair:
    """Two images that show the same lesion.

    Attributes:
        query: index of one image.
        reference: index of the other image.
        similarity: correlation of their details once one is laid over the other, -1..1, mostly beyond .5.
        difference: mean absolute difference of their grey levels then, 0..255.
    """

    query: int
    reference: int
    similarity: float
    difference: float

    @property
    def copy(self) -> bool:
        """Whether one is made from the other, or both from a third; else the lesion was photographed twice."""
        return self.similarity >= SAME_PHOTOGRAPH and self.difference <= MAX_DIFFERENCE


def near_duplicates(query: Fingerprints, reference: Fingerprints | None = None) -> list[Pair]:
    """Finds the reference images that show what a query image shows, whatever was turned, mirrored, shifted or zoomed.

    Each query image is laid over the reference images with the most similar colours and the most similar details.

    Args:
        query: fingerprints of the images to look for.
        reference: fingerprints of the images to search; None: the query images themselves, each pair once.

    Returns:
        The pairs in the order of query; for each query image, the most similar first.
    """
    within = reference is None
    among = query if reference is None else reference
    if min(len(query), len(among)) < 1 + within:
        return []
    # In an order of their own, so that the same images give the same pairs whatever order they come in.
    places, ordered = _in_order(query)
    other_places, others = (places, ordered) if within else _in_order(among)
    pairs = candidates(ordered, others, within=within)

    def compare(pair: tuple[int, int]) -> Pair | None:
        alignment = align(ordered.members[pair[0]], others.members[pair[1]])
        if alignment is None or alignment.agreement < SAME_LESION:
            return None
        i, j = places[pair[0]], other_places[pair[1]]
        first, second = (min(i, j), max(i, j)) if within else (i, j)
        return Pair(first, second, alignment.similarity, alignment.difference)

    progress = tqdm(pairs, unit=" pairs", desc="comparing", disable=None)
    found = [pair for pair in threaded_map(compare, progress) if pair is not None]
    return sorted(found, key=lambda pair: (pair.query, -pair.similarity, pair.reference))


def _in_order(fingerprints: Fingerprints) -> tuple[list[int], Fingerprints]:
    """The places of the images in an order that follows from their pixels alone, and the images in it."""
    members = fingerprints.members
    places = sorted(range(len(members)), key=lambda i: hashlib.sha256(members[i].grey.data).digest())
    return places, Fingerprints([members[i] for i in places])
