"""What only the test split gets: calibration, predictive values by prevalence, decision curve, subgroups."""

import os
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from mole_jax.evaluation.calibration import calibration_estimates, fit_platt, fit_temperature, logits_of
from mole_jax.evaluation.decision_curve import decision_curve
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions, write_csv
from mole_jax.evaluation.prevalence import PREVALENCES, prevalence_estimates, prior_shift
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.subgroups import subgroup_estimates


def clinical_estimates(
    test: Predictions, validation: Predictions | None, main: OperatingPoint | None, *, resamples: int, seed: int
) -> dict[str, Any]:
    """`calibration`, `prevalence`, `decision_curve` and `subgroups` of the test split; see `schema.md`.

    Decision curve and predictive values need scores that are risks, so they use Platt-scaled ones where validation
    allows: a model trained on a balanced sampler is off by a shift of its logits, which temperature leaves as it is.

    Args:
        test: what is judged.
        validation: the scalings are fitted on it.
        main: the main operating point.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    groups = group_images(test.group, test.label)
    slope, intercept = _platt(validation)
    scores = "as_given" if (slope, intercept) == AS_GIVEN else "platt_scaled"
    calibrated = calibrate(test, validation)
    share = float((validation or test).label.mean())
    estimates: dict[str, Any] = {
        "calibration": _calibration(test, validation, groups, resamples=resamples, seed=seed),
        "decision_curve": {
            "scores": scores,
            "rows": decision_curve(calibrated, test.label, groups, resamples=resamples, seed=seed),
        },
        "subgroups": subgroup_estimates(test, main, resamples=resamples, seed=seed),
    }
    if main is not None and main.threshold is not None and 0 < share < 1:
        risk = float(expit(intercept + slope * logit(main.threshold)))
        rows = prevalence_estimates(
            test, main.threshold, threshold_risk=risk, calibrated_at=share, resamples=resamples, seed=seed
        )
        estimates["prevalence"] = {"scores": scores, "calibrated_at": share, "rows": rows}
    return estimates


def calibrate(test: Predictions, validation: Predictions | None) -> Float[np.ndarray, " n"]:
    """The test scores, Platt-scaled where validation allows, else as given."""
    slope, intercept = _platt(validation)
    return test.score if (slope, intercept) == AS_GIVEN else expit(intercept + slope * logits_of(test))


def write_calibrated_scores(path: str | os.PathLike[str], test: Predictions, validation: Predictions | None) -> None:
    """Writes a CSV of the test scores: as given, calibrated, and shifted to each prevalence; see `schema.md`."""
    calibrated = calibrate(test, validation)
    columns = {"image_id": test.image_id, "label": test.label, "score": test.score, "calibrated": calibrated}
    share = float((validation or test).label.mean())
    if 0 < share < 1:
        for prevalence in PREVALENCES:
            shifted = prior_shift(calibrated, from_prevalence=share, to_prevalence=prevalence)
            columns[f"risk_at_{prevalence:g}"] = shifted
    write_csv(path, columns)


AS_GIVEN = (1.0, 0.0)


def _platt(validation: Predictions | None) -> tuple[float, float]:
    fitted = None if validation is None else fit_platt(validation)
    if fitted is None or fitted["slope"]["value"] is None:
        return AS_GIVEN
    return fitted["slope"]["value"], fitted["intercept"]["value"]


def _calibration(
    test: Predictions, validation: Predictions | None, groups: Groups, *, resamples: int, seed: int
) -> dict[str, Any]:
    def judge(logits: Float[np.ndarray, " n"], score: Float[np.ndarray, " n"]) -> dict[str, Any]:
        return calibration_estimates(score, logits, test.label, groups, resamples=resamples, seed=seed)

    given = logits_of(test)
    result: dict[str, Any] = {"before": judge(given, test.score)}
    if validation is None:
        return result
    result["temperature"] = temperature = fit_temperature(validation)
    if temperature["value"] is not None:
        scaled = given / temperature["value"]
        result["after_temperature"] = judge(scaled, expit(scaled))
    result["platt"] = platt = fit_platt(validation)
    if platt["slope"]["value"] is not None:
        scaled = platt["intercept"]["value"] + platt["slope"]["value"] * given
        result["after_platt"] = judge(scaled, expit(scaled))
    return result
