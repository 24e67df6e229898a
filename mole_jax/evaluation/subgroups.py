"""Estimates by sex, age band, site and diagnosis at the frozen threshold; none where there are too few lesions."""

from typing import Any

import numpy as np
from jaxtyping import Shaped

from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.split_estimates import describe, split_estimates
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.intervals import Estimate, undefined

ATTRIBUTES = ("sex", "age", "localization", "dx_type", "dx")
AGE_BANDS = ((0, 30, "under 30"), (30, 45, "30-44"), (45, 60, "45-59"), (60, 75, "60-74"), (75, np.inf, "75 and over"))
UNKNOWN = "unknown"
FEWEST = 10


def subgroup_estimates(
    predictions: Predictions, main: OperatingPoint | None, *, resamples: int, seed: int
) -> dict[str, list[dict[str, Any]]]:
    """AUROC, sensitivity and specificity in each subgroup of each attribute that the predictions have.

    An estimate over fewer than `FEWEST` lesions of the class that it needs is left out with that reason.

    Args:
        predictions: with metadata.
        main: the frozen threshold; None: AUROC alone.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Returns:
        attribute -> rows, largest first (ages ascending): `level`, the numbers of `describe`, `auroc`, `sensitivity`,
        `specificity`.

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
        result[attribute] = [
            {"level": str(name), **_estimates(predictions.select(levels == name), main, resamples=resamples, seed=seed)}
            for name in names[order]
        ]
    return result


_AGE_ORDER = [*(name for _, _, name in AGE_BANDS), UNKNOWN]


def _estimates(predictions: Predictions, main: OperatingPoint | None, *, resamples: int, seed: int) -> dict[str, Any]:
    groups = group_images(predictions.group, predictions.label)
    about = describe(predictions, groups)
    estimates = split_estimates(predictions, [main] if main else [], resamples=resamples, seed=seed)
    at = estimates["operating_points"][main.name] if main else {}
    no_threshold = undefined("there is no threshold")
    few_positive = _too_few(about, "positive", "melanoma")
    few_negative = _too_few(about, "negative", "non-melanoma")
    return {
        **about,
        "auroc": few_positive or few_negative or estimates["auroc"],
        "sensitivity": few_positive or at.get("sensitivity", no_threshold),
        "specificity": few_negative or at.get("specificity", no_threshold),
    }


def _too_few(about: dict[str, Any], of: str, name: str) -> Estimate | None:
    lesions = about[f"{of}_groups"] + about["mixed_groups"]
    if lesions >= FEWEST:
        return None
    return undefined(f"{lesions} {name} lesions; estimates need {FEWEST}")


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
