"""Net benefit of acting on the score at a chosen risk (Vickers & Elkin, Medical Decision Making 26 (2006) 565)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, Integer

from mole_jax.evaluation.statistics.counts import Counter, Counts
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import resampled
from mole_jax.evaluation.statistics.metrics import confusion

RISKS = np.arange(1, 31) / 100


def decision_curve(
    score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups, *, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """The net benefit of excising where score >= risk, against excising all or none, at risks of 1 to 30 %.

    Net benefit = TP / n - FP / n * risk / (1 - risk): melanomas found per image, minus needless excisions at the
    exchange rate that the risk stands for. It means something for calibrated scores at the prevalence of use alone.

    Args:
        score: calibrated probabilities.
        label: 0 or 1.
        groups: the lesions.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Returns:
        A row for each risk: `risk`, `model` (estimate), `treat_all` (value), `treat_none` (0).
    """
    odds = (RISKS / (1 - RISKS))[:, None]

    def statistics(counts: Counts) -> Mapping[str, Float[np.ndarray, "t r"]]:
        cells = confusion(counts, RISKS)
        positive, negative = counts.positive_below[-1], counts.negative_below[-1]
        return {
            "model": (cells["tp"] - cells["fp"] * odds) / (positive + negative),
            "treat_all": (positive - negative * odds) / (positive + negative),
        }

    counter = Counter(score, label, groups)
    value = counter.value(statistics)
    samples = counter.bootstrap(statistics, resamples=resamples, seed=seed)
    return [
        {
            "risk": float(risk),
            "model": resampled(float(value["model"][i]), samples["model"][i], groups),
            "treat_all": float(value["treat_all"][i]),
            "treat_none": 0.0,
        }
        for i, risk in enumerate(RISKS)
    ]
