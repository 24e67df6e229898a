"""What the splits are made of: classes, lesions, sizes, colours."""

from collections import Counter
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

from mole_jax.audit.collection import Member
from mole_jax.audit.traits import Traits
from mole_jax.data.records import CLASSES, SPLITS

# HAM10000: 1,113 melanomas among 10,015 images (Tschandl, Rosendahl & Kittler, Sci Data 5:180161, 2018).
HAM10000_PREVALENCE: Final = 1113 / 10015
# A share of melanomas that differs from HAM10000's by more than this factor, either way, gets a remark.
UNLIKE: Final = 1.5
SIZES: Final = 5


def balance(members: Sequence[Member], looks: Sequence[Traits]) -> dict[str, Any]:
    """Counts by split and class: how many images, how large, what colours.

    Returns:
        `splits`: split (or "all") -> `images`, `melanomas`, `lesions`, `prevalence`; `classes`: class -> `images`,
        `sizes` (the commonest, "600x450" -> images), `mean_colour` and `contrast` (red, green, blue, 0..255: means over
        the images of their mean and standard deviation); `ham10000_prevalence`; `remark`, a sentence on it or "".
    """
    splits = {}
    for split in (*SPLITS, None):
        of_split = [member for member in members if member.split == split]
        if of_split:
            melanomas = sum(member.label for member in of_split)
            splits[split or "all"] = {
                "images": len(of_split),
                "melanomas": melanomas,
                "lesions": len({member.lesion_id for member in of_split}),
                "prevalence": melanomas / len(of_split),
            }
    classes = {}
    for label, name in enumerate(CLASSES):
        of_class = [look for member, look in zip(members, looks, strict=True) if member.label == label]
        if of_class:
            sizes = Counter(f"{look.width}x{look.height}" for look in of_class)
            classes[name] = {
                "images": len(of_class),
                "sizes": dict(sizes.most_common(SIZES)),
                "mean_colour": np.mean([look.mean for look in of_class], axis=0).round(1).tolist(),
                "contrast": np.mean([look.std for look in of_class], axis=0).round(1).tolist(),
            }
    return {
        "splits": splits,
        "classes": classes,
        "ham10000_prevalence": HAM10000_PREVALENCE,
        "remark": _remark(sum(member.label for member in members) / len(members)),
    }


def _remark(prevalence: float) -> str:
    if HAM10000_PREVALENCE / UNLIKE <= prevalence <= HAM10000_PREVALENCE * UNLIKE:
        return ""
    return (
        f"{prevalence:.0%} of the images are melanomas, {HAM10000_PREVALENCE:.0%} in HAM10000: precision and PPV "
        "do not carry over"
    )
