"""Which configuration is best on validation, and how much better it looks there than it is."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from jaxtyping import Float

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.groups import draw_weights
from mole_jax.evaluation.statistics.intervals import (
    FEWEST_BOOTSTRAP,
    Estimate,
    estimate,
    point,
    t_quantile,
    too_few,
)

Metric = Literal["auroc", "accuracy"]
RESAMPLES: Final = 500
AT_A_TIME: Final = 50  # resamples, to bound memory
ONE_SEED: Final = "one seed says nothing of how the next one would do"


@dataclass(frozen=True)
class Scored:
    """A configuration all of whose trials are done.

    Attributes:
        changes: field -> value.
        validation: the scores of each seed's trial on validation, the same images in the same order.
    """

    changes: Mapping[str, Any]
    validation: Sequence[Predictions]

    def figure(self, metric: Metric) -> Estimate:
        """The mean over the seeds."""
        return over_seeds([figure_of(each, metric) for each in self.validation])


@dataclass(frozen=True)
class Correction:
    """What the figure of a chosen configuration becomes without the luck of having been chosen.

    Attributes:
        value: the corrected AUROC; None where it cannot be estimated.
        optimism: how much the validation figure lies above it.
        reason: why there is none; "" otherwise.
    """

    value: float | None
    optimism: float | None
    reason: str = ""


def figure_of(predictions: Predictions, metric: Metric) -> float:
    """AUROC, or accuracy at a score of 0.5."""
    if metric == "accuracy":
        return float(((predictions.score >= 0.5) == (predictions.label == 1)).mean())
    counter = Counter(_ranked(predictions), predictions.label, predictions.groups)
    return float(metrics.auroc(counter.as_they_are())[0])


def over_seeds(values: Sequence[float]) -> Estimate:
    """The mean over seeds of figures in 0..1, with Student's 95 % interval of it.

    It says how far another set of seeds would lead elsewhere, and knows nothing of other images.
    """
    mean = float(np.mean(values))
    if len(values) == 1:
        return point(mean, reason=ONE_SEED)
    half = t_quantile(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))
    return estimate(mean, max(0.0, mean - half), min(1.0, mean + half), "student_t")


def choose(scored: Sequence[Scored], by: Metric) -> Scored | None:
    """The configuration with the highest mean on validation, the first of equals; None where there is none."""
    return max(scored, key=lambda each: each.figure(by)["value"] or 0.0, default=None)


def corrected(scored: Sequence[Scored], *, seed: int = 0) -> Correction:
    """The AUROC to expect of a configuration that is chosen as this one was.

    Lesions are drawn with replacement; on those drawn the best configuration is chosen, and on those that were not
    drawn it is judged; the mean of these judgements is the corrected figure (Tsamardinos, Greasidou & Borboudakis,
    Machine Learning 107 (2018) 1895, "BBC-CV"). It takes out the choice among configurations; that each trial is
    taken at its best epoch on the same images stays in.

    Args:
        scored: all configurations that were chosen from.
        seed: of the draws.
    """
    chosen = choose(scored, "auroc")
    if chosen is None or len(scored) == 1:
        return Correction(None, None, "there was nothing to choose from")
    first = scored[0].validation[0]
    if why := too_few(first.groups, FEWEST_BOOTSTRAP):
        return Correction(None, None, why)
    counters = [
        [Counter(_ranked(each), each.label, each.groups) for each in configuration.validation]
        for configuration in scored
    ]
    judged: list[np.ndarray] = []
    for drawn in draw_weights(first.groups, resamples=RESAMPLES, seed=seed, at_a_time=AT_A_TIME):
        inside, outside = (_aurocs(counters, weights) for weights in (drawn, (drawn == 0).astype(np.float64)))
        sound = ~np.isnan(inside).any(axis=0)
        best = inside[:, sound].argmax(axis=0)
        judged.append(outside[:, sound][best, np.arange(len(best))])
    value = float(np.nanmean(np.concatenate(judged)))
    before = chosen.figure("auroc")["value"]
    assert before is not None, "a mean is a number"
    return Correction(value, before - value)


def _aurocs(counters: Sequence[Sequence[Counter]], weights: Float[np.ndarray, "g r"]) -> Float[np.ndarray, "c r"]:
    """The mean AUROC over its seeds of each configuration, for each weighting of the lesions."""
    return np.stack([np.mean([metrics.auroc(each.count(weights)) for each in of], axis=0) for of in counters])


def _ranked(predictions: Predictions) -> Float[np.ndarray, " n"]:
    """What ranks the images: logits, where scores may have been rounded to equals."""
    return predictions.score if predictions.logit is None else predictions.logit
