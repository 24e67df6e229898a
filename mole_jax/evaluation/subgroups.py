"""Estimates by sex, age band, site and diagnosis at the frozen threshold, and each level against all the rest."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Final

import numpy as np
from jaxtyping import Bool, Shaped

from mole_jax.evaluation.cross_fitting import cutoff
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Contrast, Subgroup, SubgroupContrast
from mole_jax.evaluation.split_estimates import describe, shares_at
from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import Estimate, difference_of, undefined
from mole_jax.vocabulary.words import SEXES, is_unknown, plain

ATTRIBUTES = ("sex", "age", "localization", "dx_type", "dx")
AGE_BANDS = ((0, 30, "under 30"), (30, 45, "30-44"), (45, 60, "45-59"), (60, 75, "60-74"), (75, np.inf, "75 and over"))
OLDEST = 120  # years
UNKNOWN = "unknown"
INTERSECTIONS: Final = (("sex", "age"),)
# Lesions with and without melanoma that each number needs; with fewer its interval says next to nothing.
FEWEST: Final = {"auroc": (10, 10), "sensitivity": (5, 0), "specificity": (0, 5)}


def subgroup_estimates(
    predictions: Predictions,
    main: OperatingPoint | None,
    intersections: Sequence[tuple[str, str]] = INTERSECTIONS,
) -> dict[str, list[Subgroup]]:
    """AUROC, sensitivity and specificity in each subgroup of each attribute, and less those of all other images.

    A number over fewer lesions than `FEWEST` is left out with that reason. The differences take level and rest as
    independent (MOVER); a lesion with images in both, which age and diagnosis may have, makes them a little too wide.

    Args:
        predictions: with metadata.
        main: the frozen threshold; None: AUROC alone.
        intersections: pairs of attributes whose joint levels are subgroups too, under "sex & age".

    Returns:
        attribute -> rows, largest first (ages ascending).
    """
    called = _called(predictions, main)
    levels = {name: _levels(name, predictions) for name in ATTRIBUTES if name in predictions.metadata}
    for first, second in intersections:
        if first in levels and second in levels:
            both = np.char.add(np.char.add(levels[first], ", "), levels[second])
            unknown = (levels[first] == UNKNOWN) | (levels[second] == UNKNOWN)
            levels[f"{first} & {second}"] = np.where(unknown, UNKNOWN, both)
    result = {}
    for attribute, of_image in levels.items():
        names, images = np.unique(of_image, return_counts=True)
        order = np.argsort(-images, kind="stable")
        if attribute == "age":
            order = np.argsort([_AGE_ORDER.index(str(name)) for name in names])
        result[attribute] = [_row(str(name), predictions, called, of_image) for name in names[order]]
    return result


def estimates_by_level(
    predictions: Predictions, main: OperatingPoint | None, levels: Shaped[np.ndarray, " n"]
) -> list[Subgroup]:
    """The same numbers by levels that are no metadata, in the order of their names.

    Args:
        predictions: any.
        main: the frozen threshold; None: AUROC alone.
        levels: of each image, a word.
    """
    called = _called(predictions, main)
    return [_row(str(name), predictions, called, levels) for name in np.unique(levels)]


def subgroup_contrasts(subgroups: Mapping[str, Sequence[Subgroup]]) -> dict[str, list[SubgroupContrast]]:
    """Every two levels of an attribute against each other: first minus second, where a number has its interval in both.

    As for the differences in `subgroup_estimates`, the two are taken as independent (MOVER), and each interval is for
    itself, not adjusted for their number.

    Returns:
        attribute -> rows; attributes without any are left out.
    """
    found: dict[str, list[SubgroupContrast]] = {}
    for attribute, rows in subgroups.items():
        known = [row for row in rows if row["level"] != UNKNOWN]
        for first, second in combinations(known, 2):
            contrast = _difference(first, second)
            if any(of["low"] is not None for of in contrast.values()):  # type: ignore[index]
                of_pair: SubgroupContrast = {"levels": [first["level"], second["level"]], **contrast}
                found.setdefault(attribute, []).append(of_pair)
    return found


def strange_ages(predictions: Predictions) -> list[str]:
    """A sentence about ages that are no number of years, and so count as unknown; none where there are none."""
    if "age" not in predictions.metadata:
        return []
    ages = predictions.metadata["age"]
    strange = ages[
        (_age_bands(ages) == UNKNOWN) & ~np.isin(ages, [text for text in np.unique(ages) if is_unknown(str(text))])
    ]
    if not len(strange):
        return []
    return [
        f"{len(strange):,} ages, such as {str(strange[0])!r}, are no number of years from 0 to {OLDEST} and count as "
        "unknown"
    ]


def _called(predictions: Predictions, main: OperatingPoint | None) -> Bool[np.ndarray, " n"] | None:
    if main is None or main.threshold is None:
        return None
    called: Bool[np.ndarray, " n"] = predictions.score >= cutoff(main, predictions)
    return called


_AGE_ORDER = [name for _, _, name in AGE_BANDS] + [UNKNOWN]


def _row(
    name: str,
    predictions: Predictions,
    called: Bool[np.ndarray, " n"] | None,
    levels: Shaped[np.ndarray, " n"],
) -> Subgroup:
    mask = levels == name
    level = predictions.select(mask)
    own = _contrast(level, None if called is None else called[mask])
    if mask.all():
        none = undefined("there is no other level")
        difference: Contrast = {"auroc": none, "sensitivity": none, "specificity": none}
    else:
        others = _contrast(predictions.select(~mask), None if called is None else called[~mask])
        difference = _difference(own, others)
    return {"level": name, **describe(level, level.groups), **own, "difference": difference}


def _difference(first: Contrast | Subgroup, second: Contrast | Subgroup) -> Contrast:
    return {
        "auroc": difference_of(first["auroc"], second["auroc"]),
        "sensitivity": difference_of(first["sensitivity"], second["sensitivity"]),
        "specificity": difference_of(first["specificity"], second["specificity"]),
    }


def _contrast(predictions: Predictions, called: Bool[np.ndarray, " n"] | None) -> Contrast:
    groups = predictions.groups
    shares = dict.fromkeys(("sensitivity", "specificity"), undefined("there is no threshold"))
    if called is not None:
        shares = shares_at(called, predictions.label == 1, groups)
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


def _levels(attribute: str, predictions: Predictions) -> Shaped[np.ndarray, " n"]:
    """Each image's level, spellings of one word together under the commonest of them."""
    texts = predictions.metadata[attribute]
    if attribute == "age":
        return _age_bands(texts)
    spellings, place, images = np.unique(texts, return_inverse=True, return_counts=True)
    words = [_word(attribute, str(text)) for text in spellings]
    commonest: dict[str, str] = {}
    for i in np.argsort(-images, kind="stable"):
        commonest.setdefault(words[i], str(spellings[i]).strip())
    shown = [
        SEXES[word] if attribute == "sex" and word in SEXES else commonest[word] if word else UNKNOWN for word in words
    ]
    return np.array(shown, np.str_)[place]


def _word(attribute: str, text: str) -> str:
    if is_unknown(text):
        return ""
    word = plain(text) or text
    return SEXES.get(word, word) if attribute == "sex" else word


def _age_bands(ages: Shaped[np.ndarray, " n"]) -> Shaped[np.ndarray, " n"]:
    texts, place = np.unique(ages, return_inverse=True)
    return np.array([_age_band(str(text)) for text in texts], np.str_)[place]


def _age_band(text: str) -> str:
    try:
        age = float(text.replace(",", "."))
    except ValueError:
        return UNKNOWN
    return next((name for low, high, name in AGE_BANDS if low <= age < high and age <= OLDEST), UNKNOWN)
