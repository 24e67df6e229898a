"""Does a cross-fitted number estimate what it says? Simulated studies of known truth, of one file each.

    python -m benchmarks.cross_fitting             the table of RESULTS.md, about ten minutes on one core
    python -m benchmarks.cross_fitting --sets=50

The studies are those of `benchmarks.coverage`, with random classes. The truth of a threshold is its sensitivity and
specificity on infinitely many new images; that of a cross-fitted number is the mean over the five thresholds. *Bias* is
the mean of what is printed less the truth; *held* how often its interval holds the truth; *whole* how often it holds
the truth of the threshold that the whole file gives, which is the one to take along. *Naive* is what the same file
would say of its own threshold. O:E is of risks by Platt's method; its truth is that of the scaling fitted on the whole
file.
"""

import sys
import time
from collections import defaultdict
from typing import Final

import numpy as np
from absl import flags
from jaxtyping import Float
from scipy.special import expit, logit, ndtr, ndtri

from benchmarks.coverage import AUROC, SHARE, Design, risk_logit, shift, simulate
from experiments import cli
from mole_jax.evaluation.calibration import observed_expected
from mole_jax.evaluation.cross_fitting import cross_fitted_points, cutoff, why_not
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.scaling import scale
from mole_jax.evaluation.split_estimates import shares_at
from mole_jax.evaluation.statistics.intervals import Estimate

FLAGS = flags.FLAGS
TARGETS: Final = (0.90, 0.95, 0.98)
MELANOMAS: Final = (20, 60, 200)
POINTS: Final = 20_001  # of the integral over a population
HEADS: Final = ("number", "truth", "bias", "held", "whole", "naive bias", "naive held")


class Tally:
    """How one number fared over the studies of a design."""

    def __init__(self) -> None:
        self._rows: list[list[float]] = []

    def add(self, marked: Estimate, truth: float, whole: float, naive: Estimate) -> None:
        """Counts one study."""
        if marked["value"] is None or naive["value"] is None:
            return
        found = [truth, marked["value"] - truth, _holds(marked, truth), _holds(marked, whole)]
        self._rows.append([*found, naive["value"] - whole, _holds(naive, whole)])

    def cells(self) -> list[str]:
        """Means over the studies: truth, bias, held, whole, and those of the naive number."""
        truth, bias, held, whole, naive, naive_held = np.mean(self._rows, axis=0)
        return [f"{truth:.3f}", f"{bias:+.3f}", f"{held:.2f}", f"{whole:.2f}", f"{naive:+.3f}", f"{naive_held:.2f}"]


def _holds(of: Estimate, truth: float) -> float:
    return float(of["low"] is not None and of["high"] is not None and of["low"] <= truth <= of["high"])


def judge(design: Design, sets: int) -> dict[str, Tally]:
    """What becomes of each number over the studies of one design."""
    found: dict[str, Tally] = defaultdict(Tally)
    for seed in range(sets):
        study = simulate(design, seed)
        ids = study.groups.index.astype(np.str_)
        names = np.arange(len(ids)).astype(np.str_)
        p = Predictions(names, study.label, expit(risk_logit(study.latent["first"])), lesion_id=ids)
        if why_not(p):
            continue
        positive = p.label == 1
        for point in cross_fitted_points(p, TARGETS):
            if point.target is None or point.threshold is None:
                continue
            marked = shares_at(p.score >= cutoff(point, p), positive, p.groups)
            naive = shares_at(p.score >= point.threshold, positive, p.groups)
            parts, whole = true_shares(np.array(point.folds)), true_shares(np.array([point.threshold]))
            for name in ("sensitivity", "specificity"):
                found[f"{name}, target {point.target:g}"].add(marked[name], parts[name], whole[name], naive[name])
        scaled = scale(p, None)
        if isinstance(scaled, str) or scaled.by_platt is None or scaled.slope_and_intercept is None:
            continue
        slope, intercept = scaled.slope_and_intercept
        own = expit(intercept + slope * risk_logit(study.latent["first"]))
        truth = true_ratio(slope, intercept)
        marked_ratio, naive_ratio = (
            observed_expected(risk, p.label, p.groups) for risk in (expit(scaled.by_platt), own)
        )
        found["O:E of Platt's risks"].add(marked_ratio, truth, truth, naive_ratio)
    return found


def true_shares(thresholds: Float[np.ndarray, " t"]) -> dict[str, float]:
    """Mean sensitivity and specificity of thresholds on new images."""
    d = shift(AUROC)
    latent = (logit(thresholds) - logit(SHARE)) / d + d / 2
    return {"sensitivity": float(1 - ndtr(latent - d).mean()), "specificity": float(ndtr(latent).mean())}


def true_ratio(slope: float, intercept: float) -> float:
    """Melanomas observed over expected on new images, of risks scaled so."""
    quantiles = ndtri((np.arange(POINTS) + 0.5) / POINTS)
    expected = sum(
        share * expit(intercept + slope * risk_logit(quantiles + at)).mean()
        for share, at in ((SHARE, shift(AUROC)), (1 - SHARE, 0.0))
    )
    return SHARE / float(expected)


def command() -> None:
    """Prints a table a design."""
    for melanomas in map(int, FLAGS.lesions):
        for several in (False, True):
            began = time.perf_counter()
            found = judge(Design(melanomas, several, True), FLAGS.sets)
            images = "one to six images" if several else "one image"
            print(f"\n{melanomas} melanoma lesions, {images} a lesion\n\n| {' | '.join(HEADS)} |")
            print("|---" * len(HEADS) + "|")
            for name, tally in found.items():
                print(f"| {name} | {' | '.join(tally.cells())} |", flush=True)
            print(f"{melanomas} lesions: {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_list("lesions", [str(m) for m in MELANOMAS], "numbers of melanoma lesions")
    flags.DEFINE_integer("sets", 500, "studies of each design", lower_bound=1)


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__ or "")
