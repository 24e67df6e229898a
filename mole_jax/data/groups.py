"""Images that belong together because pairs of them do."""

import dataclasses
from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from jaxtyping import Int

from mole_jax.data.records import Record

AnyRecord = TypeVar("AnyRecord", bound=Record)


def connected(count: int, pairs: Sequence[tuple[int, int]]) -> Int[np.ndarray, " count"]:
    """The number of each thing's group, where pairs connect things, directly or through others.

    Args:
        count: how many things there are, numbered from 0.
        pairs: two numbers each; a thing without a pair is a group of its own.
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(pairs, np.int64).reshape(-1, 2)
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(count, count))
    return connected_components(graph, directed=False)[1].astype(np.int64)


def one_lesion(records: Sequence[AnyRecord], pairs: Sequence[tuple[int, int]]) -> list[AnyRecord]:
    """The same records; those that pairs or a lesion_id connect have the first lesion_id of theirs, by the alphabet.

    Args:
        records: any.
        pairs: places of two records that show one lesion.
    """
    first: dict[str, int] = {}
    links = [*pairs, *((i, first.setdefault(record.lesion_id, i)) for i, record in enumerate(records))]
    groups = connected(len(records), links).tolist()
    lesion: dict[int, str] = {}
    for group, record in zip(groups, records, strict=True):
        lesion[group] = min(lesion.get(group, record.lesion_id), record.lesion_id)
    return [dataclasses.replace(record, lesion_id=lesion[group]) for group, record in zip(groups, records, strict=True)]
