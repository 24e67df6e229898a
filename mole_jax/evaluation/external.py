"""A finished run judged on images of another dataset: thresholds and scalings stay those of its own validation."""

from collections.abc import Mapping, Sequence
from typing import Any

from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import Metrics
from mole_jax.evaluation.summary import RESAMPLES, summarise


def evaluate_external(
    external: Predictions,
    *,
    validation: Predictions,
    points: Sequence[OperatingPoint],
    about: Mapping[str, Any],
    warnings: Sequence[str] = (),
    leaky: bool | None = False,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Metrics:
    """Evaluates predictions for images that a run was not trained on.

    Args:
        external: what is judged; stands as `test` in the result.
        validation: the run's own, which temperature and Platt scaling are fitted on.
        points: the run's own thresholds; none is chosen here.
        about: what `external` in the result says: the run, the dataset, the overlap.
        warnings: what else must be known, before the warnings of the estimates.
        leaky: whether the run has seen some of the images; None where that is not known.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Returns:
        See `schema.md`.

    Raises:
        UserError: an impossible number of resamples.
    """
    metrics = summarise(
        {"test": external},
        points,
        scaled_on=validation,
        leaky=None,
        protocol="external",
        resamples=resamples,
        seed=seed,
    )
    return {
        **metrics,
        "leaky": leaky,
        "external": dict(about),
        "warnings": [*warnings, *metrics["warnings"]],
    }
