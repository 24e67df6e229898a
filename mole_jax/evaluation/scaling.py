"""Logits scaled to risks, by temperature and by Platt's method: fitted on validation, or cross-fitted on one file."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from mole_jax.evaluation.calibration import fit_platt, fit_temperature, logits_of
from mole_jax.evaluation.cross_fitting import CROSS_FITTED, FOLDS, folds_of, why_not
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Scaling
from mole_jax.evaluation.statistics.intervals import Estimate, undefined


@dataclass(frozen=True)
class Scaled:
    """The scalings of the test logits, and the logits scaled; None where a scaling cannot be fitted."""

    fitted_on: str  # validation, or cross-fitted
    temperature: Estimate
    platt: Scaling
    by_temperature: Float[np.ndarray, " n"] | None
    by_platt: Float[np.ndarray, " n"] | None
    prevalence: float  # share of melanomas that scaled scores mean

    @property
    def slope_and_intercept(self) -> tuple[float, float] | None:
        """Platt's, None where they cannot be had."""
        slope, intercept = self.platt["slope"]["value"], self.platt["intercept"]["value"]
        return None if self.by_platt is None or slope is None or intercept is None else (slope, intercept)

    @property
    def reason(self) -> str | None:
        """Why there is no Platt scaling, in one phrase; None where there is."""
        if self.slope_and_intercept is not None:
            return None
        return f"Platt scaling cannot be fitted on {self._where}: {self.platt['slope'].get('reason')}"

    @property
    def _where(self) -> str:
        return "validation" if self.fitted_on == "validation" else "the folds of the file"


def scale(test: Predictions, validation: Predictions | None) -> Scaled | str:
    """Scales the test logits by what is fitted on validation, or without it by what is fitted on the other folds.

    Returns:
        Why it cannot be done, in one phrase, where there is no validation and too little to cross-fit.
    """
    if validation is None:
        if reason := why_not(test):
            return f"there are no validation predictions to calibrate on, and {reason}"
        return _cross_fitted(test)
    temperature, platt, given = fit_temperature(validation), fit_platt(validation), logits_of(test)
    return Scaled(
        "validation",
        temperature,
        platt,
        by_temperature(temperature, given),
        by_platt(platt, given),
        float(validation.label.mean()),
    )


def by_temperature(temperature: Estimate, logits: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"] | None:
    """Logits over the temperature; None where there is none."""
    return None if temperature["value"] is None else logits / temperature["value"]


def by_platt(platt: Scaling, logits: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"] | None:
    """Intercept plus slope times logits; None where there are none."""
    slope, intercept = platt["slope"]["value"], platt["intercept"]["value"]
    return None if slope is None or intercept is None else intercept + slope * logits


def _cross_fitted(test: Predictions) -> Scaled:
    temperature, platt = fit_temperature(test), fit_platt(test)
    fold, given = folds_of(test), logits_of(test)
    parts = [test.select(fold != k) for k in range(FOLDS)]

    def scaled(
        of_fold: Callable[[Predictions, Float[np.ndarray, " n"]], Float[np.ndarray, " n"] | None],
    ) -> Float[np.ndarray, " n"] | None:
        result = np.empty_like(given)
        for k, part in enumerate(parts):
            of_part = of_fold(part, given[fold == k])
            if of_part is None:
                return None
            result[fold == k] = of_part
        return result

    tempered = scaled(lambda part, logits: by_temperature(fit_temperature(part), logits))
    shifted = scaled(lambda part, logits: by_platt(fit_platt(part), logits))
    why = "no scaling can be fitted without one of the folds"
    if tempered is None and temperature["value"] is not None:
        temperature = undefined(why)
    if shifted is None and platt["slope"]["value"] is not None:
        platt = {"slope": undefined(why), "intercept": undefined(why)}
    if temperature["value"] is None:
        tempered = None
    if platt["slope"]["value"] is None:
        shifted = None
    return Scaled(CROSS_FITTED, temperature, platt, tempered, shifted, float(test.label.mean()))
