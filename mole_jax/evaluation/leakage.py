"""Lesions and images that lie in two splits, so that one has seen what the other is judged by."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Shared

EXAMPLES = 5


def shared_groups(splits: Mapping[str, Predictions]) -> list[Shared]:
    """Each pair of splits with a lesion (or an image) in common; empty when there is none.

    Returns:
        `splits` (two names), `groups` and `images` in common, `affected_images` of the second split that belong to
        those lesions, `examples` of the ids.
    """
    found: list[Shared] = []
    for first, second in combinations(splits, 2):
        a, b = splits[first], splits[second]
        images = np.intersect1d(a.image_id, b.image_id, assume_unique=True)
        groups = np.intersect1d(a.group, b.group)
        if len(images) == len(groups) == 0:
            continue
        found.append(
            {
                "splits": [first, second],
                "groups": len(groups),
                "images": len(images),
                "affected_images": int((np.isin(b.group, groups) | np.isin(b.image_id, images)).sum()),
                "examples": [str(name) for name in (groups if len(groups) else images)[:EXAMPLES]],
            }
        )
    return found
