"""What lets a model see the images that it is judged by."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
from jaxtyping import Int

from mole_jax.audit.collection import Member
from mole_jax.data.records import CLASSES, SPLITS

# What straddles splits, in the singular and the plural.
NOUNS: Final = {
    "image_id": ("image id lies", "image ids lie"),
    "lesion": ("lesion lies", "lesions lie"),
    "patient": ("patient lies", "patients lie"),
    "identical_file": ("file lies, byte for byte,", "files lie, byte for byte,"),
    "identical_pixels": ("picture lies, pixel for pixel,", "pictures lie, pixel for pixel,"),
    "near_duplicate": ("lesion is seen", "lesions are seen"),
}


def leaks(duplicates: Mapping[str, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Which kinds of groups straddle splits.

    Args:
        duplicates: kind -> what `duplicates.summarise` says of its groups.

    Returns:
        For each: `kind`, `groups`, `images` and a `sentence`; empty where nothing leaks.
    """
    found = []
    for kind, (one, several) in NOUNS.items():
        groups, images = duplicates[kind]["straddling_groups"], duplicates[kind]["straddling_images"]
        if groups:
            sentence = f"{groups:,} {one if groups == 1 else several} in more than one split ({images:,} images)"
            if kind == "near_duplicate":
                sentence += ", judged by their pixels"
            found.append({"kind": kind, "groups": groups, "images": images, "sentence": sentence})
    return found


def siblings_in_training(members: Sequence[Member], near: Int[np.ndarray, " n"]) -> dict[str, dict[str, Any]]:
    """How many held-out images training has seen, by split and class.

    Args:
        members: the images under audit.
        near: for each image, the number of its group of near duplicates.

    Returns:
        split -> class -> `images`, `with_sibling` and their `share`.
    """
    trained = {int(near[i]) for i, member in enumerate(members) if member.split == "train"}
    found: dict[str, dict[str, Any]] = {}
    for split in SPLITS[1:]:
        for label, name in enumerate(CLASSES):
            groups = [int(near[i]) for i, m in enumerate(members) if m.split == split and m.label == label]
            if groups and trained:
                seen = sum(group in trained for group in groups)
                found.setdefault(split, {})[name] = {
                    "images": len(groups),
                    "with_sibling": seen,
                    "share": seen / len(groups),
                }
    return found
