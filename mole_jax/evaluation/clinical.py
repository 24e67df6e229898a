"""What only the test split gets: calibration, predictive values by prevalence, decision curve, subgroups."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, TypedDict

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from mole_jax.evaluation.calibration import calibration_estimates, logits_of
from mole_jax.evaluation.cross_fitting import cutoff
from mole_jax.evaluation.decision_curve import decision_curve
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions, write_csv
from mole_jax.evaluation.prevalence import PREVALENCES, prevalence_estimates, prior_shift
from mole_jax.evaluation.scaling import Scaled, scale
from mole_jax.evaluation.schema import Calibration, Calibrations, DecisionCurve, Prevalence, Subgroup, SubgroupContrast
from mole_jax.evaluation.split_estimates import shares_at
from mole_jax.evaluation.subgroups import INTERSECTIONS, subgroup_contrasts, subgroup_estimates
from mole_jax.files.changes import remove_file


class Clinical(TypedDict, total=False):
    """The keys of the test split that this file adds."""

    calibration: Calibrations
    decision_curve: DecisionCurve
    subgroups: dict[str, list[Subgroup]]
    subgroup_contrasts: dict[str, list[SubgroupContrast]]
    prevalence: Prevalence


def clinical_estimates(
    test: Predictions,
    validation: Predictions | None,
    main: OperatingPoint | None,
    *,
    intersections: Sequence[tuple[str, str]] = INTERSECTIONS,
    resamples: int,
    seed: int,
) -> Clinical:
    """`calibration`, `prevalence`, `decision_curve` and `subgroups` of the test split; see `schema.md`.

    A score that is called a risk is Platt-scaled on validation: a model trained on a balanced sampler is off by a shift
    of its logits, which temperature leaves as it is. Without validation the scaling is cross-fitted; where that cannot
    be, no score is called a risk, and the decision curve is that of the scores as given, and says so.

    Args:
        test: what is judged.
        validation: the scalings are fitted on it.
        main: the main operating point.
        intersections: pairs of attributes whose joint levels are subgroups too.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    scaled = scale(test, validation)
    calibrated = None if isinstance(scaled, str) or scaled.by_platt is None else expit(scaled.by_platt)
    estimates: Clinical = {
        "calibration": _calibration(test, scaled, resamples=resamples, seed=seed),
        "decision_curve": {
            "scores": _whose_scores(scaled),
            "rows": decision_curve(
                test.score if calibrated is None else calibrated,
                test.label,
                test.groups,
                resamples=resamples,
                seed=seed,
            ),
        },
        "subgroups": (subgroups := subgroup_estimates(test, main, intersections)),
        "subgroup_contrasts": subgroup_contrasts(subgroups),
    }
    if main is None or main.threshold is None:
        return estimates
    fitted = None if isinstance(scaled, str) else scaled.slope_and_intercept
    risk = None if fitted is None else float(expit(fitted[1] + fitted[0] * logit(main.threshold)))
    share = None if isinstance(scaled, str) else scaled.prevalence
    at = shares_at(test.score >= cutoff(main, test), test.label == 1, test.groups)
    estimates["prevalence"] = {
        "calibrated_at": None if risk is None else share,
        "reason": _why_not(scaled),
        "rows": prevalence_estimates(
            at["sensitivity"], at["specificity"], threshold_risk=risk, calibrated_at=share or 0.5
        ),
    }
    return estimates


def calibrate(test: Predictions, validation: Predictions | None) -> Float[np.ndarray, " n"] | None:
    """The test scores, Platt-scaled on validation or cross-fitted without it; None where that cannot be had.

    `why_not_calibrated` says why.
    """
    scaled = scale(test, validation)
    return None if isinstance(scaled, str) or scaled.by_platt is None else expit(scaled.by_platt)


def why_not_calibrated(test: Predictions, validation: Predictions | None) -> str | None:
    """Why no calibrated score can be had, in one phrase; None where it can."""
    return _why_not(scale(test, validation))


def write_calibrated_scores(
    path: str | os.PathLike[str], test: Predictions, validation: Predictions | None
) -> str | None:
    """Writes a CSV of the test scores: as given, calibrated, and shifted to each prevalence; see `schema.md`.

    Where no calibrated score can be had, nothing is written, and an older file of that name is removed.

    Returns:
        Why nothing was written; None where something was.
    """
    scaled = scale(test, validation)
    if isinstance(scaled, str) or scaled.by_platt is None:
        remove_file(Path(path))
        return _why_not(scaled)
    calibrated, share = expit(scaled.by_platt), scaled.prevalence  # between 0 and 1, or there were no scaling
    columns = {"image_id": test.image_id, "label": test.label, "score": test.score, "calibrated": calibrated}
    for prevalence in PREVALENCES:
        shifted = prior_shift(calibrated, from_prevalence=share, to_prevalence=prevalence)
        columns[f"risk_at_{prevalence:g}"] = shifted
    write_csv(path, columns)
    return None


def _why_not(scaled: Scaled | str) -> str | None:
    return scaled if isinstance(scaled, str) else scaled.reason


def _whose_scores(scaled: Scaled | str) -> Literal["as_given", "platt_scaled", "platt_scaled_cross_fitted"]:
    if isinstance(scaled, str) or scaled.by_platt is None:
        return "as_given"
    return "platt_scaled" if scaled.fitted_on == "validation" else "platt_scaled_cross_fitted"


def _calibration(test: Predictions, scaled: Scaled | str, *, resamples: int, seed: int) -> Calibrations:
    def judge(logits: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"]) -> Calibration:
        return calibration_estimates(score, logits, test.label, test.groups, resamples=resamples, seed=seed)

    result: Calibrations = {"before": judge(logits_of(test), test.score)}
    if isinstance(scaled, str):
        return result
    result["fitted_on"] = scaled.fitted_on
    result["temperature"], result["platt"] = scaled.temperature, scaled.platt
    if scaled.by_temperature is not None:
        result["after_temperature"] = judge(scaled.by_temperature, expit(scaled.by_temperature))
    if scaled.by_platt is not None:
        result["after_platt"] = judge(scaled.by_platt, expit(scaled.by_platt))
    return result
