"""Two or more models on the same images: paired differences, and p values corrected for the number of pairs."""

from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
from jaxtyping import Float, Integer
from scipy.special import bdtr

from mole_jax.errors import UserError
from mole_jax.evaluation.cross_fitting import FOLDS, cross_fitted_points, cutoff, why_not
from mole_jax.evaluation.doubts import doubts
from mole_jax.evaluation.operating_points import MAIN_SENSITIVITY, OperatingPoint, main_point
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.same_images import align
from mole_jax.evaluation.schema import SCHEMA, Compared, Comparison, McNemar, Pair
from mole_jax.evaluation.split_estimates import WHY_UNDEFINED, describe, estimates_of
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.area import cluster_auroc_difference
from mole_jax.evaluation.statistics.counts import Counter, Counts, affordable_resamples
from mole_jax.evaluation.statistics.delong import delong_auroc, delong_test
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import LEVEL, AreaTest, DelongTest, Estimate, bootstrapped, undefined


def compare(
    models: Mapping[str, Predictions],
    points: Mapping[str, OperatingPoint] | None = None,
    *,
    target_sensitivity: float | None = None,
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
        points: each model's own frozen threshold; None: cross-fitted, where there are enough lesions.
        target_sensitivity: in (0, 1], what a cross-fitted threshold aims at; None: .95, or no thresholds at all where
            there are too few lesions.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Raises:
        UserError: fewer than two models; other images, labels, lesions or patients than the first model's; a
            sensitivity that is impossible, or for which there are too few lesions.
    """
    if len(models) < 2:
        raise UserError(f"{len(models)} model cannot be compared; give two prediction files or more")
    names = list(models)
    aligned, notes = align(models)
    first = aligned[names[0]]
    groups = first.groups
    scores = {name: model.score for name, model in aligned.items()}
    if points is None:
        points, said = _cross_fitted(aligned, target_sensitivity)
        notes.append(said)
    cuts = None
    if points is not None:
        cuts = {
            name: None if point.threshold is None else cutoff(point, aligned[name]) for name, point in points.items()
        }
    pairs = list(combinations(names, 2))
    rows: list[Pair] = []
    for a, b in pairs:
        pair = {name: scores[name] for name in (a, b)}
        difference, test = differences(pair, first.label, groups, cuts, resamples=resamples, seed=seed)
        row: Pair = {
            "models": [a, b],
            "difference": difference,
            "auroc_test": test,
            "delong": delong_test(scores[a], scores[b], first.label),
            "mcnemar": None if cuts is None else _mcnemar(first.label, *((scores[of], cuts[of]) for of in (a, b))),
        }
        if len(pairs) > 1:
            level = 1 - (1 - LEVEL) / len(pairs)
            row["simultaneous"], _ = differences(
                pair, first.label, groups, cuts, resamples=resamples, seed=seed, level=level
            )
        rows.append(row)
    found: dict[str, Compared] = {}
    for name in names:
        cut = None if cuts is None else cuts[name]
        free, at = estimates_of(
            scores[name], first.label, groups, [] if cut is None else [cut], resamples=resamples, seed=seed
        )
        model: Compared = {
            "source": aligned[name].source,
            "threshold": None if points is None else points[name].threshold,
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
        "warnings": [
            *notes,
            *(doubt for name in names for doubt in doubts(aligned[name], found[name]["auroc"], name=name)),
        ],
    }


def differences(
    scores: Mapping[str, Float[np.ndarray, " n"]],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    cuts: Mapping[str, float | Float[np.ndarray, " n"] | None] | None,
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
        cuts: each model's own threshold, or each image's; None: nothing at thresholds.
        resamples: of the paired cluster bootstrap, which makes every interval but that of the AUROC.
        seed: of the paired cluster bootstrap.
        level: of the intervals.
    """
    values, samples, drawn_as = [], [], {"resamples": resamples, "seed": seed}
    for name, score in scores.items():
        counter = Counter(score, label, groups)
        value, drawn = counter.value(metrics.threshold_free), counter.bootstrap(metrics.threshold_free, **drawn_as)
        if cuts is not None and (cut := cuts[name]) is not None:
            calls = Counter((score >= cut).astype(np.float64), label, groups)  # the same lesions are drawn
            value |= calls.value(_at_cut)
            drawn |= calls.bootstrap(_at_cut, **drawn_as)
        values.append({key: float(of) for key, of in value.items()})
        samples.append(drawn)
    found = {}
    for key in values[0].keys() & values[1].keys():
        apart = values[0][key] - values[1][key]
        found[key] = (
            undefined(WHY_UNDEFINED[key])
            if np.isnan(apart)
            else bootstrapped(apart, samples[0][key] - samples[1][key], groups, level=level)
        )
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


def _at_cut(counts: Counts) -> Mapping[str, Float[np.ndarray, " r"]]:
    """Of scores that are 1 where an image is called melanoma."""
    return {name: of[0] for name, of in metrics.at_threshold(**metrics.confusion(counts, np.array([1.0]))).items()}


def _cross_fitted(
    models: Mapping[str, Predictions], target: float | None
) -> tuple[dict[str, OperatingPoint] | None, str]:
    """Each model's main operating point, cross-fitted in the same folds, or none; and what is to be said of it."""
    first = next(iter(models.values()))
    if reason := why_not(first):
        said = f"no thresholds, hence nothing at thresholds: no validation predictions, and {reason}"
        if target is not None:
            raise UserError(
                f"--target_sensitivity={target:g}: {said}; give --validation=VA.csv,VB.csv, or "
                "--threshold=NUMBER instead"
            )
        return None, said
    targets = (MAIN_SENSITIVITY if target is None else target,)
    points = {name: main_point(cross_fitted_points(model, targets)) for name, model in models.items()}
    said = (
        f"no validation predictions: each model's threshold is cross-fitted in {FOLDS} folds, the same for all, so "
        "that each image is judged by what was chosen without it"
    )
    return {name: point for name, point in points.items() if point is not None}, said


def _mcnemar(
    label: Integer[np.ndarray, " n"],
    a: tuple[Float[np.ndarray, " n"], float | Float[np.ndarray, " n"] | None],
    b: tuple[Float[np.ndarray, " n"], float | Float[np.ndarray, " n"] | None],
) -> McNemar | None:
    if a[1] is None or b[1] is None:
        return None
    right_a, right_b = ((score >= cut) == (label == 1) for score, cut in (a, b))
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
