"""Pairs of published images that show one lesion under two lesion ids, as looking at them has shown.

same_lesions.csv has them with the evidence: how far their details agree once one is laid over the other (1: fully;
empty where the search as it is does not try them), and what was seen. All pairs of HAM10000 with different lesion ids
that four searches of this kind laid over each other with an agreement beyond .3 were looked at, and some below. Two are
from Abhishek, Jain & Hamarneh (Sci Data 12:196, 2025), whose other 16 are among the rest. RESULTS.md tells more.
"""

import csv
import functools
from collections.abc import Sequence
from pathlib import Path

from mole_jax.data.groups import one_lesion
from mole_jax.data.records import Record


@functools.cache
def known_pairs() -> tuple[tuple[str, str], ...]:
    """The image_ids of each pair."""
    with (Path(__file__).parent / "same_lesions.csv").open(encoding="utf-8", newline="") as file:
        return tuple((row["image_id"], row["other_image_id"]) for row in csv.DictReader(file))


def join_known(records: Sequence[Record]) -> tuple[tuple[Record, ...], str]:
    """The same records; the images of a known pair, and of their lesions, have one lesion_id.

    Returns:
        The records, and a sentence on how many were joined; "" for none.
    """
    places = {record.image_id: i for i, record in enumerate(records)}
    pairs = [(places[a], places[b]) for a, b in known_pairs() if a in places and b in places]
    apart = [(i, j) for i, j in pairs if records[i].lesion_id != records[j].lesion_id]
    if not apart:
        return tuple(records), ""
    joined = one_lesion(records, apart)
    lesions = len({record.lesion_id for record in records}) - len({record.lesion_id for record in joined})
    return tuple(joined), (
        f"{len(apart)} pairs of images that show one lesion under two lesion ids are kept together, which makes "
        f"{lesions} lesions fewer (mole_jax/data/source/same_lesions.csv)"
    )
