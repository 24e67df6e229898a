"""What only the test split gets: calibration, predictive values by prevalence, decision curve, subgroups."""

import os
from pathlib import Path
from typing import TypedDict

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from mole_jax.evaluation.calibration import calibration_estimates, fit_platt, fit_temperature, logits_of
from mole_jax.evaluation.decision_curve import decision_curve
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions, write_csv
from mole_jax.evaluation.prevalence import PREVALENCES, prevalence_estimates, prior_shift
from mole_jax.evaluation.schema import Calibration, Calibrations, DecisionCurve, Prevalence, Scaling, Subgroup
from mole_jax.evaluation.split_estimates import shares_at
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.subgroups import subgroup_estimates
from mole_jax.files.changes import remove_file

NO_VALIDATION = "there are no validation predictions to calibrate on"


class Clinical(TypedDict, total=False):
    """The keys of the test split that this file adds."""

    calibration: Calibrations
    decision_curve: DecisionCurve
    subgroups: dict[str, list[Subgroup]]
    prevalence: Prevalence


def clinical_estimates(
    test: Predictions, validation: Predictions | None, main: OperatingPoint | None, *, resamples: int, seed: int
) -> Clinical:
    """`calibration`, `prevalence`, `decision_curve` and `subgroups` of the test split; see `schema.md`.

    A score that is called a risk is Platt-scaled on validation: a model trained on a balanced sampler is off by a shift
    of its logits, which temperature leaves as it is. Without validation no score is called a risk; the decision curve
    is then that of the scores as given, and says so.

    Args:
        test: what is judged.
        validation: the scalings are fitted on it.
        main: the main operating point.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    groups = group_images(test.group, test.label)
    scaling = _platt(validation)
    calibrated = calibrate(test, validation)
    scores = test.score if calibrated is None else calibrated
    estimates: Clinical = {
        "calibration": _calibration(test, validation, groups, resamples=resamples, seed=seed),
        "decision_curve": {
            "scores": "as_given" if calibrated is None else "platt_scaled",
            "rows": decision_curve(scores, test.label, groups, resamples=resamples, seed=seed),
        },
        "subgroups": subgroup_estimates(test, main),
    }
    if main is None or main.threshold is None:
        return estimates
    risk = None
    if not isinstance(scaling, str):
        risk = float(expit(scaling[1] + scaling[0] * logit(main.threshold)))
    share = None if validation is None else float(validation.label.mean())
    at = shares_at(test.score >= main.threshold, test.label == 1, groups)
    estimates["prevalence"] = {
        "calibrated_at": None if risk is None else share,
        "reason": scaling if isinstance(scaling, str) else None,
        "rows": prevalence_estimates(
            at["sensitivity"], at["specificity"], threshold_risk=risk, calibrated_at=share or 0.5
        ),
    }
    return estimates


def calibrate(test: Predictions, validation: Predictions | None) -> Float[np.ndarray, " n"] | None:
    """The test scores, Platt-scaled on validation; None where that cannot be had (`why_not_calibrated` says why)."""
    scaling = _platt(validation)
    return None if isinstance(scaling, str) else expit(scaling[1] + scaling[0] * logits_of(test))


def why_not_calibrated(validation: Predictions | None) -> str | None:
    """Why no calibrated score can be had, in one phrase; None where it can."""
    scaling = _platt(validation)
    return scaling if isinstance(scaling, str) else None


def write_calibrated_scores(
    path: str | os.PathLike[str], test: Predictions, validation: Predictions | None
) -> str | None:
    """Writes a CSV of the test scores: as given, calibrated, and shifted to each prevalence; see `schema.md`.

    Where no calibrated score can be had, nothing is written, and an older file of that name is removed.

    Returns:
        Why nothing was written; None where something was.
    """
    calibrated = calibrate(test, validation)
    if calibrated is None or validation is None:
        remove_file(Path(path))
        return why_not_calibrated(validation)
    columns = {"image_id": test.image_id, "label": test.label, "score": test.score, "calibrated": calibrated}
    share = float(validation.label.mean())  # strictly between 0 and 1, or there were no scaling
    for prevalence in PREVALENCES:
        shifted = prior_shift(calibrated, from_prevalence=share, to_prevalence=prevalence)
        columns[f"risk_at_{prevalence:g}"] = shifted
    write_csv(path, columns)
    return None


def _platt(validation: Predictions | None) -> tuple[float, float] | str:
    """Slope and intercept of the scaling, or why there is none."""
    if validation is None:
        return NO_VALIDATION
    fitted: Scaling = fit_platt(validation)
    slope, intercept = fitted["slope"]["value"], fitted["intercept"]["value"]
    if slope is None or intercept is None:
        return f"Platt scaling cannot be fitted on validation: {fitted['slope'].get('reason')}"
    return slope, intercept


def _calibration(
    test: Predictions, validation: Predictions | None, groups: Groups, *, resamples: int, seed: int
) -> Calibrations:
    def judge(logits: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"]) -> Calibration:
        return calibration_estimates(score, logits, test.label, groups, resamples=resamples, seed=seed)

    given = logits_of(test)
    result: Calibrations = {"before": judge(given, test.score)}
    if validation is None:
        return result
    result["temperature"] = temperature = fit_temperature(validation)
    if temperature["value"] is not None:
        scaled = given / temperature["value"]
        result["after_temperature"] = judge(scaled, expit(scaled))
    result["platt"] = platt = fit_platt(validation)
    if platt["slope"]["value"] is not None and platt["intercept"]["value"] is not None:
        scaled = platt["intercept"]["value"] + platt["slope"]["value"] * given
        result["after_platt"] = judge(scaled, expit(scaled))
    return result
