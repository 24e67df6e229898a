"""What only the test split gets: calibration, predictive values by prevalence, decision curve, subgroups."""

import os
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.special import expit, logit

from mole_jax.evaluation.calibration import apply_temperature, calibration_figures, fit_temperature, logits_of
from mole_jax.evaluation.decision_curve import decision_curve
from mole_jax.evaluation.groups import group_images
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions, write_csv
from mole_jax.evaluation.prevalence import PREVALENCES, prevalence_figures, prior_shift
from mole_jax.evaluation.subgroups import subgroup_figures


def deeper_figures(
    test: Predictions, validation: Predictions | None, main: OperatingPoint | None, *, resamples: int, seed: int
) -> dict[str, Any]:
    """`calibration`, `prevalence`, `decision_curve` and `subgroups` of the test split; see `schema.md`.

    Decision curve and shifted scores use the temperature-scaled scores where validation gives a temperature.

    Args:
        test: what is judged.
        validation: the temperature is fitted on it.
        main: the main operating point.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    groups = group_images(test.group, test.label)
    drawn = {"resamples": resamples, "seed": seed}
    calibrated, temperature = calibrate(test, validation)
    logits = logits_of(test)
    calibration: dict[str, Any] = {"before": calibration_figures(test.score, logits, test.label, groups, **drawn)}
    if temperature is not None:
        calibration["temperature"] = temperature
    if temperature is not None and temperature["value"] is not None:
        scaled = logits / temperature["value"]
        calibration["after"] = calibration_figures(calibrated, scaled, test.label, groups, **drawn)
    scores = "temperature_scaled" if "after" in calibration else "as_given"
    share = float((validation or test).label.mean())
    figures: dict[str, Any] = {
        "calibration": calibration,
        "decision_curve": {"scores": scores, "rows": decision_curve(calibrated, test.label, groups, **drawn)},
        "subgroups": subgroup_figures(test, main, **drawn),
    }
    if main is not None and main.threshold is not None and 0 < share < 1:
        heat = temperature["value"] if temperature is not None and "after" in calibration else 1.0
        risk = float(expit(logit(main.threshold) / heat))
        rows = prevalence_figures(test, main.threshold, threshold_risk=risk, calibrated_at=share, **drawn)
        figures["prevalence"] = {"scores": scores, "calibrated_at": share, "rows": rows}
    return figures


def write_calibrated_scores(path: str | os.PathLike[str], test: Predictions, validation: Predictions | None) -> None:
    """Writes a CSV of the test scores: as given, temperature-scaled, and shifted to each prevalence.

    Columns: `image_id,label,score,calibrated` and a `risk_at_<prevalence>` each; without a temperature `calibrated` is
    `score`. The shift starts from the share of melanomas in validation, or else in the test set.
    """
    calibrated, _ = calibrate(test, validation)
    columns = {"image_id": test.image_id, "label": test.label, "score": test.score, "calibrated": calibrated}
    share = float((validation or test).label.mean())
    if 0 < share < 1:
        for prevalence in PREVALENCES:
            shifted = prior_shift(calibrated, from_prevalence=share, to_prevalence=prevalence)
            columns[f"risk_at_{prevalence:g}"] = shifted
    write_csv(path, columns)


def calibrate(
    test: Predictions, validation: Predictions | None
) -> tuple[Float[np.ndarray, "n"], dict[str, Any] | None]:
    """The test scores, temperature-scaled where validation gives a temperature, and that temperature."""
    temperature = None if validation is None else fit_temperature(validation)
    if temperature is None or temperature["value"] is None:
        return test.score, temperature
    return apply_temperature(test, temperature["value"]), temperature
