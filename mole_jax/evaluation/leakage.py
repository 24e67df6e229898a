"""Lesions and images that lie in two splits, so that one has seen what the other is judged by."""

from collections.abc import Mapping
from itertools import combinations

import numpy as np
from jaxtyping import Bool

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Shared
from mole_jax.vocabulary.identity import comparable_id

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
        images = _images(a, b)
        groups, of_b = _groups(a, b)
        affected = images | of_b
        if not affected.any():
            continue
        found.append(
            {
                "splits": [first, second],
                "groups": len(groups),
                "images": int(images.sum()),
                "affected_images": int(affected.sum()),
                "examples": [str(name) for name in (groups if len(groups) else b.image_id[images])[:EXAMPLES]],
            }
        )
    return found


def _images(a: Predictions, b: Predictions) -> Bool[np.ndarray, " n"]:
    """Which images of b are in a, in any spelling of their ids; rows that stand for images are not compared."""
    if a.numbered or b.numbered:
        return np.zeros(b.n, bool)
    names = a.image_id.tolist(), b.image_id.tolist()
    folders = all(any("/" in name or "\\" in name for name in of) for of in names)
    ours = {comparable_id(name, folders=folders) for name in names[0]}
    return np.array([comparable_id(name, folders=folders) in ours for name in names[1]])


def _groups(a: Predictions, b: Predictions) -> tuple[list[str], Bool[np.ndarray, " n"]]:
    """The patients, or else the lesions, that both have, and which images of b are of them; not those without."""
    found, of_b = list[str](), np.zeros(b.n, bool)
    for name in ("patient_id", "lesion_id"):
        ours, theirs = getattr(a, name), getattr(b, name)
        if ours is None or theirs is None:
            continue
        common = np.setdiff1d(np.intersect1d(ours, theirs), [""])
        found = found or common.tolist()
        of_b |= np.isin(theirs, common)
    return found, of_b
