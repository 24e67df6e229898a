"""Estimates by sex, age band, site and diagnosis at the frozen threshold, and each level against all the rest."""

from typing import Final

import numpy as np
from jaxtyping import Shaped

from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Contrast, Subgroup
from mole_jax.evaluation.split_estimates import describe, shares_at
from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import Estimate, difference_of, undefined

ATTRIBUTES = ("sex", "age", "localization", "dx_type", "dx")
AGE_BANDS = ((0, 30, "under 30"), (30, 45, "30-44"), (45, 60, "45-59"), (60, 75, "60-74"), (75, np.inf, "75 and over"))
UNKNOWN = "unknown"
# Lesions with and without melanoma that each number needs; with fewer its interval says next to nothing.
FEWEST: Final = {"auroc": (10, 10), "sensitivity": (5, 0), "specificity": (0, 5)}


def subgroup_estimates(predictions: Predictions, main: OperatingPoint | None) -> dict[str, list[Subgroup]]:
    """AUROC, sensitivity and specificity in each subgroup of each attribute, and less those of all other images.

    A number over fewer lesions than `FEWEST` is left out with that reason. The differences take level and rest as
    independent (MOVER); a lesion with images in both, which age and diagnosis may have, makes them a little too wide.

    Args:
        predictions: with metadata.
        main: the frozen threshold; None: AUROC alone.

    Returns:
        attribute -> rows, largest first (ages ascending).

    Raises:
        UserError: an age that is not a number.
    """
    result = {}
    for attribute in ATTRIBUTES:
        if attribute not in predictions.metadata:
            continue
        levels = _age_bands(predictions) if attribute == "age" else _clean(predictions.metadata[attribute])
        names, images = np.unique(levels, return_counts=True)
        order = np.argsort(-images, kind="stable")
        if attribute == "age":
            order = np.argsort([_AGE_ORDER.index(str(name)) for name in names])
        result[attribute] = [_row(str(name), predictions, levels, main) for name in names[order]]
    return result


_AGE_ORDER = [*(name for _, _, name in AGE_BANDS), UNKNOWN]


def _row(
    name: str, predictions: Predictions, levels: Shaped[np.ndarray, " n"], main: OperatingPoint | None
) -> Subgroup:
    level, rest = predictions.select(levels == name), levels != name
    own = _contrast(level, main)
    difference: Contrast
    if rest.any():
        others = _contrast(predictions.select(rest), main)
        difference = {
            "auroc": difference_of(own["auroc"], others["auroc"]),
            "sensitivity": difference_of(own["sensitivity"], others["sensitivity"]),
            "specificity": difference_of(own["specificity"], others["specificity"]),
        }
    else:
        none = undefined("there is no other level")
        difference = {"auroc": none, "sensitivity": none, "specificity": none}
    return {"level": name, **describe(level, group_images(level.group, level.label)), **own, "difference": difference}


def _contrast(predictions: Predictions, main: OperatingPoint | None) -> Contrast:
    groups = group_images(predictions.group, predictions.label)
    shares = dict.fromkeys(("sensitivity", "specificity"), undefined("there is no threshold"))
    if main is not None and main.threshold is not None:
        shares = shares_at(predictions.score >= main.threshold, predictions.label == 1, groups)
    return {
        "auroc": _too_few(groups, "auroc") or cluster_auroc(predictions.score, predictions.label, groups),
        "sensitivity": _too_few(groups, "sensitivity") or shares["sensitivity"],
        "specificity": _too_few(groups, "specificity") or shares["specificity"],
    }


def _too_few(groups: Groups, key: str) -> Estimate | None:
    for lesions, needed, name in zip(
        (groups.positives, groups.negatives), FEWEST[key], ("melanoma", "non-melanoma"), strict=True
    ):
        if lesions < needed:
            return undefined(f"{lesions} {name} {'lesion' if lesions == 1 else 'lesions'}; this number needs {needed}")
    return None


def _clean(levels: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    return np.where(levels == "", UNKNOWN, levels)


def _age_bands(predictions: Predictions) -> Shaped[np.ndarray, " n"]:
    ages = predictions.metadata["age"]
    bands = np.full(len(ages), UNKNOWN, dtype=f"<U{max(map(len, _AGE_ORDER))}")
    for text in np.unique(ages):
        if text in ("", UNKNOWN):
            continue
        try:
            age = float(text)
        except ValueError:
            age = -1.0
        found = [name for low, high, name in AGE_BANDS if low <= age < high]
        if not found:
            raise UserError(
                f"{predictions.source}: age {str(text)!r} is not a number of years; leave unknown ages empty"
            )
        bands[ages == text] = found[0]
    return bands
