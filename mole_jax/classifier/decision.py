"""What a classifier's scores mean: thresholds and calibration, chosen on validation and frozen."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import expit

from mole_jax.errors import UserError
from mole_jax.evaluation.calibration import fit_platt, fit_temperature
from mole_jax.evaluation.operating_points import OperatingPoint, choose_operating_points
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.prevalence import prior_shift

# The threshold at which `predict` calls an image, unless another is asked for.
SCREENING = "sensitivity_0.95"


@dataclass(frozen=True)
class Decision:
    """Thresholds and scalings of the logits, all from validation images.

    Attributes:
        operating_points: the frozen thresholds, on scores (the sigmoid of the logit).
        platt: slope and intercept that turn logits into calibrated log odds; None where none could be fitted.
        temperature: what logits are divided by for calibration by one number; None where none could be fitted.
        why_uncalibrated: why `platt` is None, one phrase; else "".
        calibrated_at: the share of melanomas that calibrated scores mean: that of the validation images.
        prevalence: the share of melanomas among the training images, in (0, 1).
    """

    operating_points: tuple[OperatingPoint, ...]
    platt: tuple[float, float] | None
    temperature: float | None
    why_uncalibrated: str
    calibrated_at: float
    prevalence: float

    def point(self, name: str = SCREENING) -> OperatingPoint:
        """A frozen threshold by its name.

        Raises:
            UserError: there is none of that name; names those that there are.
        """
        for point in self.operating_points:
            if point.name == name:
                return point
        have = ", ".join(point.name for point in self.operating_points)
        raise UserError(f"this classifier has no operating point {name!r}; it has {have}")

    def calibrated(self, logits: Float[np.ndarray, " n"]) -> Float[np.ndarray, " n"]:
        """The risk of melanoma among images like the validation images, in (0, 1).

        Raises:
            ValueError: no scaling could be fitted.
        """
        if self.platt is None:
            raise ValueError(f"not calibrated: {self.why_uncalibrated}")
        slope, intercept = self.platt
        return expit(intercept + slope * logits.astype(np.float64))

    def risk(self, logits: Float[np.ndarray, " n"], *, prevalence: float | None = None) -> Float[np.ndarray, " n"]:
        """The risk of melanoma where that share of images are melanomas that look the same, in (0, 1).

        Args:
            logits: of the classifier.
            prevalence: in (0, 1); None for the training images' own.

        Raises:
            ValueError: no scaling could be fitted.
        """
        to = self.prevalence if prevalence is None else prevalence
        return prior_shift(self.calibrated(logits), from_prevalence=self.calibrated_at, to_prevalence=to)

    def called(self, logits: Float[np.ndarray, " n"], name: str = SCREENING) -> Bool[np.ndarray, " n"]:
        """Which images the frozen threshold calls melanoma.

        Raises:
            UserError: there is no such threshold, or validation gave it no value.
        """
        point = self.point(name)
        if point.threshold is None:
            raise UserError(f"the operating point {name} has no threshold: {point.reason}")
        return expit(logits.astype(np.float64)) >= point.threshold


def freeze(validation: Predictions, *, prevalence: float) -> Decision:
    """Chooses thresholds and fits the scalings on validation.

    Args:
        validation: scored images that the model was not trained on.
        prevalence: the share of melanomas among the training images.
    """
    platt, temperature = fit_platt(validation), fit_temperature(validation)
    slope, intercept = (platt[name]["value"] for name in ("slope", "intercept"))
    return Decision(
        operating_points=tuple(choose_operating_points(validation)),
        platt=None if slope is None or intercept is None else (slope, intercept),
        temperature=temperature["value"],
        why_uncalibrated="" if slope is not None else str(platt["slope"].get("reason")),
        calibrated_at=float(validation.label.mean()),
        prevalence=prevalence,
    )
