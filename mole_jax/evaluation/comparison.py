"""Two or more models on the same images: paired differences, and p values corrected for the number of pairs."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import bdtr

from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.split_estimates import WHY_UNDEFINED, describe
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter, Counts, affordable_resamples
from mole_jax.evaluation.statistics.delong import delong_auroc, delong_test
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import LEVEL, Estimate, resampled, undefined

NAMED = 3


def compare(
    models: Mapping[str, Predictions],
    points: Mapping[str, OperatingPoint] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Any]:
    """Compares every pair of models; see `schema.md` (comparison.json).

    The paired cluster bootstrap draws the same lesions for all models. DeLong's and McNemar's tests take images as
    independent, so they are second opinions where a lesion has several images. Holm's correction is over the pairs,
    within each kind of p value.

    Args:
        models: two or more, over exactly the same images.
        points: each model's own frozen threshold; None: no estimates at thresholds and no McNemar test.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Raises:
        UserError: fewer than two models; other images, labels or lesions than the first model's.
    """
    if len(models) < 2:
        raise UserError(f"{len(models)} model cannot be compared; give two prediction files or more")
    names = list(models)
    first = models[names[0]]
    aligned = {name: _align(first, models[name]) for name in names}
    groups = group_images(first.group, first.label)
    values, samples = {}, {}
    for name, model in aligned.items():
        counter = Counter(model.score, first.label, groups)
        statistics = _statistics(None if points is None else points[name].threshold)
        values[name] = {key: float(value) for key, value in counter.value(statistics).items()}
        samples[name] = counter.bootstrap(statistics, resamples=resamples, seed=seed)
    rows = []
    for a, b in combinations(names, 2):
        row: dict[str, Any] = {"models": [a, b], "difference": {}}
        for key in values[a]:
            drawn = samples[a][key] - samples[b][key]
            row["difference"][key] = _estimate(key, values[a][key] - values[b][key], drawn, groups)
        row["bootstrap"] = {"p_value": bootstrap_p(samples[a]["auroc"] - samples[b]["auroc"])}
        row["delong"] = delong_test(aligned[a].score, aligned[b].score, first.label)
        row["mcnemar"] = None if points is None else _mcnemar(aligned[a], aligned[b], points[a], points[b])
        rows.append(row)
    return {
        "schema": 1,
        "level": LEVEL,
        "bootstrap": {"resamples": affordable_resamples(first.n, resamples), "seed": seed},
        "data": describe(first, groups),
        "models": {
            name: {
                "source": aligned[name].source,
                "threshold": None if points is None else points[name].threshold,
                **{key: _estimate(key, values[name][key], samples[name][key], groups) for key in values[name]},
                "auroc_delong": delong_auroc(aligned[name].score, first.label),
            }
            for name in names
        },
        "pairs": _correct(rows),
    }


def bootstrap_p(differences: Float[np.ndarray, " r"]) -> float | None:
    """Two-sided p value of no difference: twice the share of resamples beyond zero on the rarer side, one added.

    The one keeps it from claiming less than the number of resamples can show. None where a resample is undefined.
    """
    if np.isnan(differences).any():
        return None
    rarer = min(int((differences <= 0).sum()), int((differences >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(differences) + 1))


def mcnemar_exact(only_a: int, only_b: int) -> float:
    """Two-sided exact p value of McNemar's test from the images that only one of the models gets right."""
    # Twice the smaller tail of a fair coin; scipy.stats, which has this as binomtest, takes .3 s to import.
    return min(1.0, 2 * float(bdtr(min(only_a, only_b), only_a + only_b, 0.5)))


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down correction (1979), in the order given."""
    p = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(len(p), 0, -1))
    corrected = np.empty_like(p)
    corrected[order] = np.minimum(stepped, 1)
    return [float(value) for value in corrected]


def _statistics(threshold: float | None) -> Any:
    def statistics(counts: Counts) -> Mapping[str, Float[np.ndarray, " r"]]:
        estimates = metrics.threshold_free(counts)
        if threshold is None:
            return estimates
        at = metrics.at_threshold(**metrics.confusion(counts, np.array([threshold])))
        return {**estimates, **{name: value[0] for name, value in at.items()}}

    return statistics


def _estimate(name: str, value: float, samples: Float[np.ndarray, " r"], groups: Groups) -> Estimate:
    if np.isnan(value):
        return undefined(WHY_UNDEFINED[name])
    return resampled(value, samples, groups)


def _mcnemar(a: Predictions, b: Predictions, point_a: OperatingPoint, point_b: OperatingPoint) -> dict[str, Any]:
    right_a = (a.score >= point_a.threshold) == (a.label == 1)
    right_b = (b.score >= point_b.threshold) == (b.label == 1)
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    return {
        "only_first_right": only_a,
        "only_second_right": only_b,
        "p_value": mcnemar_exact(only_a, only_b),
        "method": "exact",
    }


def _correct(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for kind in ("bootstrap", "delong", "mcnemar"):
        tested = [row[kind] for row in rows if row[kind] and row[kind].get("p_value") is not None]
        for test, p in zip(tested, holm([test["p_value"] for test in tested]), strict=True):
            test["p_value_holm"] = p
    return rows


def _align(first: Predictions, other: Predictions) -> Predictions:
    """`other` in the order of `first`, whose lesions count."""
    for a, b in ((first, other), (other, first)):
        extra = np.setdiff1d(a.image_id, b.image_id, assume_unique=True)
        if len(extra):
            raise UserError(
                f"{a.source} has {len(extra)} images that {b.source} lacks, first "
                f"{', '.join(map(str, extra[:NAMED]))}; compare models on the same images"
            )
    aligned = other.aligned_to(first.image_id)
    for name, mine, theirs in (("label", first.label, aligned.label), ("lesion", first.group, aligned.group)):
        differ = np.flatnonzero(mine != theirs)
        if len(differ):
            i = differ[0]
            raise UserError(
                f"image {first.image_id[i]} has {name} {mine[i]} in {first.source} but {theirs[i]} in {other.source} "
                f"({len(differ)} such images); compare models on the same data"
            )
    return aligned
