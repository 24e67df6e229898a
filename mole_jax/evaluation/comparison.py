"""Two or more models on the same images: paired differences, and p values corrected for the number of pairs."""

from collections.abc import Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import bdtr

from mole_jax.errors import UserError
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import SCHEMA, Compared, Comparison, McNemar, Pair
from mole_jax.evaluation.split_estimates import WHY_UNDEFINED, describe, estimates_of
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.area import cluster_auroc_difference
from mole_jax.evaluation.statistics.counts import Counter, Counts, affordable_resamples
from mole_jax.evaluation.statistics.delong import delong_auroc, delong_test
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import LEVEL, AreaTest, DelongTest, Estimate, bootstrapped, undefined

NAMED = 3


def compare(
    models: Mapping[str, Predictions],
    points: Mapping[str, OperatingPoint] | None = None,
    *,
    resamples: int = 2000,
    seed: int = 0,
) -> Comparison:
    """Compares every pair of models; see `schema.md` (comparison.json).

    The paired cluster bootstrap draws the same lesions for all models; AUROCs are compared by their paired influences,
    summed by lesion. DeLong's and McNemar's tests take images as independent, so they are second opinions where a
    lesion has several images. Holm's correction of p values is over the pairs, within each kind; the intervals of
    `simultaneous` are Bonferroni's over the pairs, those of `difference` each for itself.

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
    scores = {name: model.score for name, model in aligned.items()}
    thresholds = None if points is None else {name: point.threshold for name, point in points.items()}
    pairs = list(combinations(names, 2))
    rows: list[Pair] = []
    for a, b in pairs:
        pair = {name: scores[name] for name in (a, b)}
        difference, test = differences(pair, first.label, groups, thresholds, resamples=resamples, seed=seed)
        row: Pair = {
            "models": [a, b],
            "difference": difference,
            "auroc_test": test,
            "delong": delong_test(scores[a], scores[b], first.label),
            "mcnemar": None if points is None else _mcnemar(aligned[a], aligned[b], points[a], points[b]),
        }
        if len(pairs) > 1:
            level = 1 - (1 - LEVEL) / len(pairs)
            row["simultaneous"], _ = differences(
                pair, first.label, groups, thresholds, resamples=resamples, seed=seed, level=level
            )
        rows.append(row)
    found: dict[str, Compared] = {}
    for name in names:
        threshold = None if thresholds is None else thresholds[name]
        cuts = [] if threshold is None else [threshold]
        free, at = estimates_of(scores[name], first.label, groups, cuts, resamples=resamples, seed=seed)
        model: Compared = {
            "source": aligned[name].source,
            "threshold": threshold,
            "auroc": free["auroc"],
            "partial_auroc": free["partial_auroc"],
            "average_precision": free["average_precision"],
            "brier": free["brier"],
            "log_loss": free["log_loss"],
            "auroc_delong": delong_auroc(scores[name], first.label),
        }
        for of in at:
            model.update({key: of[key] for key in metrics.AT_THRESHOLD})  # type: ignore[literal-required, typeddict-item]
        found[name] = model
    return {
        "schema": SCHEMA,
        "level": LEVEL,
        "bootstrap": {"resamples": affordable_resamples(first.n, resamples), "seed": seed},
        "data": describe(first, groups),
        "models": found,
        "pairs": _correct(rows),
    }


def differences(
    scores: Mapping[str, Float[np.ndarray, " n"]],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    thresholds: Mapping[str, float | None] | None,
    *,
    resamples: int,
    seed: int,
    level: float = LEVEL,
) -> tuple[dict[str, Estimate], AreaTest | None]:
    """First minus second of two models on the same images, metric by metric, and the test of their AUROCs.

    Args:
        scores: of two models.
        label: 0 or 1.
        groups: the lesions.
        thresholds: each model's own; None: nothing at thresholds.
        resamples: of the paired cluster bootstrap, which makes every interval but that of the AUROC.
        seed: of the paired cluster bootstrap.
        level: of the intervals.
    """
    values, samples = [], []
    for name, score in scores.items():
        counter = Counter(score, label, groups)
        statistics = _statistics(None if thresholds is None else thresholds[name])
        values.append({key: float(value) for key, value in counter.value(statistics).items()})
        samples.append(counter.bootstrap(statistics, resamples=resamples, seed=seed))
    found = {}
    for key in values[0].keys() & values[1].keys():
        value, drawn = values[0][key] - values[1][key], samples[0][key] - samples[1][key]
        missing = np.isnan(value)
        found[key] = undefined(WHY_UNDEFINED[key]) if missing else bootstrapped(value, drawn, groups, level=level)
    first, second = scores.values()
    found["auroc"], test = cluster_auroc_difference(first, second, label, groups, level=level)
    return {key: found[key] for key in values[0] if key in found}, test


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


def _mcnemar(a: Predictions, b: Predictions, point_a: OperatingPoint, point_b: OperatingPoint) -> McNemar:
    right_a = (a.score >= point_a.threshold) == (a.label == 1)
    right_b = (b.score >= point_b.threshold) == (b.label == 1)
    only_a, only_b = int((right_a & ~right_b).sum()), int((~right_a & right_b).sum())
    return {
        "only_first_right": only_a,
        "only_second_right": only_b,
        "p_value": mcnemar_exact(only_a, only_b),
        "method": "exact",
    }


def _correct(rows: list[Pair]) -> list[Pair]:
    kinds: list[list[AreaTest | DelongTest | McNemar | None]] = [
        [row["auroc_test"] for row in rows],
        [row["delong"] for row in rows],
        [row["mcnemar"] for row in rows],
    ]
    for kind in kinds:
        tested = [test for test in kind if test is not None and "p_value" in test]
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
