"""Net benefit of acting on the score at a chosen risk (Vickers & Elkin, Medical Decision Making 26 (2006) 565)."""

import numpy as np
from jaxtyping import Float, Integer

from mole_jax.evaluation.schema import DecisionRow
from mole_jax.evaluation.statistics.groups import Groups
from mole_jax.evaluation.statistics.intervals import Estimate, bootstrapped
from mole_jax.evaluation.statistics.sums import Sums

RISKS = np.arange(1, 31) / 100


def decision_curve(
    score: Float[np.ndarray, " n"], label: Integer[np.ndarray, " n"], groups: Groups, *, resamples: int, seed: int
) -> list[DecisionRow]:
    """The net benefit of excising where score >= risk, against excising all or none, at risks of 1 to 30 %.

    Args:
        score: calibrated probabilities.
        label: 0 or 1.
        groups: the lesions.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    model, treat_all = net_benefit(score, label, groups, RISKS, resamples=resamples, seed=seed)
    return [
        {"risk": float(risk), "model": of_model, "treat_all": float(of_all), "treat_none": 0.0}
        for risk, of_model, of_all in zip(RISKS, model, treat_all, strict=True)
    ]


def net_benefit(
    score: Float[np.ndarray, " n"],
    label: Integer[np.ndarray, " n"],
    groups: Groups,
    risks: Float[np.ndarray, " t"],
    *,
    resamples: int,
    seed: int,
) -> tuple[list[Estimate], Float[np.ndarray, " t"]]:
    """Of the model, with intervals, and of excising all.

    Net benefit = TP / n - FP / n * risk / (1 - risk): melanomas found per image, minus needless excisions at the
    exchange rate that the risk stands for. It means something for calibrated scores at the prevalence of use alone.

    Args:
        score: calibrated probabilities.
        label: 0 or 1.
        groups: the lesions.
        risks: in (0, 1), ascending.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.
    """
    odds = (risks / (1 - risks))[:, None]
    cells = len(risks) + 1
    reached = np.searchsorted(risks, score, side="right")  # how many of the risks an image's score reaches
    sums = Sums(groups)
    sums.add("positive", label, cell=reached, cells=cells)
    sums.add("negative", 1 - label, cell=reached, cells=cells)

    def benefit(
        positive: Float[np.ndarray, "c r"], negative: Float[np.ndarray, "c r"]
    ) -> tuple[np.ndarray, np.ndarray]:
        tp, fp = (np.cumsum(of[::-1], axis=0)[::-1] for of in (positive, negative))  # that reach so many risks, or more
        images = tp[0] + fp[0]
        return (tp[1:] - fp[1:] * odds) / images, (tp[:1] - fp[:1] * odds) / images

    value, treat_all = (of[:, 0] for of in benefit(**{name: of[:, None] for name, of in sums.value().items()}))
    samples, _ = benefit(**sums.bootstrap(resamples=resamples, seed=seed))
    return [bootstrapped(float(v), drawn, groups) for v, drawn in zip(value, samples, strict=True)], treat_all
