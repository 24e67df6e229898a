"""Do 95 % intervals hold the truth 95 times in 100? Simulated studies of known truth, judged by evaluation/ itself.

    python -m benchmarks.coverage                  the table of RESULTS.md, 25 to 45 minutes on one core
    python -m benchmarks.coverage --quick          a tenth of it
    python -m benchmarks.coverage --lesions=20 --sets=2000

A study has lesions, 12 % of them melanomas; each has one image, or one to six with equal chance. A lesion has a normal
effect, which an image shows with noise of its own (70 % of the variance is the lesion's), so that the AUROC is .92 and
the score, Bayes' risk given the image, is calibrated. *Fixed*: as many melanomas as named. *Random*: a lesion comes
with a random class, as in a consecutive series, so that only the expected number of melanomas is as named. A second
model sees much the same effect and has the same AUROC (type I error), a third is worse (.88). For calibration there is
also a score that is too high and too extreme: 1.3 times the logit, plus 1.5.
"""

import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np
from absl import flags
from jaxtyping import Float, Integer
from scipy.special import expit, logit, ndtr, ndtri

from experiments import cli
from mole_jax.evaluation.calibration import calibration_estimates
from mole_jax.evaluation.comparison import differences
from mole_jax.evaluation.decision_curve import net_benefit
from mole_jax.evaluation.prevalence import predictive_estimates
from mole_jax.evaluation.schema import CurvePoint
from mole_jax.evaluation.split_estimates import estimates_of
from mole_jax.evaluation.statistics.groups import Groups, group_images
from mole_jax.evaluation.statistics.intervals import Estimate, estimate, moved

FLAGS = flags.FLAGS
SHARE: Final = 0.12
AUROC: Final = 0.92
WORSE: Final = 0.88
WITHIN: Final = 0.7  # share of the variance that a lesion's images have in common
SHARED: Final = 0.8  # of a lesion's effect, between two models
TARGETS: Final = {"95": 0.95, "50": 0.5}  # thresholds by their true sensitivity
RISK: Final = 0.1  # of the net benefit
SCREENING: Final = 0.018  # another prevalence
TOO_HIGH: Final = (1.5, 1.3)  # what is added to the logit, and what it is multiplied with
LARGE: Final = 1_000_001  # points of the integrals
MELANOMAS: Final = (5, 10, 20, 60, 200)
SETS: Final = {5: 1000, 10: 1000, 20: 1000, 60: 400, 200: 200}


@dataclass(frozen=True)
class Design:
    """What kind of study."""

    melanomas: int  # lesions
    several: bool  # one to six images a lesion, else one
    random: bool  # classes


@dataclass(frozen=True)
class Study:
    """One simulated set: latent values of three models, a row an image."""

    latent: Mapping[str, Float[np.ndarray, " n"]]  # first, alike, worse
    label: Integer[np.ndarray, " n"]
    groups: Groups


@dataclass
class Covered:
    """How one interval fared."""

    sets: int = 0  # in which the estimate was asked for
    given: int = 0  # intervals
    inside: int = 0  # that hold the truth
    width: float = 0.0  # summed

    def add(self, of: Estimate, truth: float) -> None:
        """Counts one more."""
        self.sets += 1
        if of["low"] is not None and of["high"] is not None:
            self.given += 1
            self.inside += of["low"] <= truth <= of["high"]
            self.width += of["high"] - of["low"]

    @property
    def share(self) -> float:
        """Of the given intervals; NaN where none was."""
        return self.inside / self.given if self.given else float("nan")


def simulate(design: Design, seed: int) -> Study:
    """One study."""
    rng = np.random.default_rng([design.melanomas, design.several, design.random, seed])
    lesions = round(design.melanomas / SHARE)
    positive = rng.random(lesions) < SHARE if design.random else np.arange(lesions) < design.melanomas
    images = rng.integers(1, 7, lesions) if design.several else np.ones(lesions, np.int64)
    lesion = np.repeat(np.arange(lesions), images)
    label = positive[lesion].astype(np.int64)
    common = rng.normal(size=lesions)
    latent = {}
    for name, auroc in (("first", AUROC), ("alike", AUROC), ("worse", WORSE)):
        effect = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * rng.normal(size=lesions)
        noise = rng.normal(size=len(lesion))
        latent[name] = shift(auroc) * label + np.sqrt(WITHIN) * effect[lesion] + np.sqrt(1 - WITHIN) * noise
    return Study(latent, label, group_images(lesion, label))


def shift(auroc: float) -> float:
    """By how many standard deviations melanomas lie above the others."""
    return float(np.sqrt(2) * ndtri(auroc))


def risk_logit(latent: Float[np.ndarray, " n"], auroc: float = AUROC) -> Float[np.ndarray, " n"]:
    """Bayes' logit of melanoma given the latent value of one image."""
    d = shift(auroc)
    return logit(SHARE) + d * (latent - d / 2)


def judged(study: Study, *, resamples: int) -> dict[str, Estimate]:
    """Every interval of the benchmark on one study, by the functions that make metrics.json."""
    label, groups = study.label, study.groups
    drawn = {"resamples": resamples, "seed": 0}
    logits = risk_logit(study.latent["first"])
    score = expit(logits)
    thresholds = thresholds_of("first")
    free, at = estimates_of(score, label, groups, list(thresholds.values()), **drawn)
    found = {name: free[name] for name in ("auroc", "partial_auroc", "average_precision", "brier", "log_loss")}
    found |= {f"sensitivity, true .{name}": of["sensitivity"] for name, of in zip(thresholds, at, strict=True)}
    for name in ("specificity", "precision", "npv", "accuracy", "balanced_accuracy", "f1"):
        found[f"{name} at .95"] = at[0][name]
    found["PPV at 1.8 %"], found["NPV at 1.8 %"] = predictive_estimates(
        at[0]["sensitivity"], at[0]["specificity"], SCREENING
    )
    found["net benefit at 10 %"] = net_benefit(score, label, groups, np.array([RISK]), **drawn)[0][0]
    for kind, (added, times) in {"calibrated": (0.0, 1.0), "too high": TOO_HIGH}.items():
        changed = added + times * logits
        of_kind = calibration_estimates(expit(changed), changed, label, groups, **drawn)
        for name in ("ece", "in_the_large", "observed_expected", "slope", "intercept"):
            found[f"{name}, {kind}"] = of_kind[name]  # type: ignore[literal-required]
        rows = of_kind["curve"]["rows"]
        if rows:
            found[f"curve, {kind}"] = _relative(rows[len(rows) // 2], added, times)
    scores = {name: expit(risk_logit(latent, AUROCS[name])) for name, latent in study.latent.items()}
    for name in ("alike", "worse"):
        threshold = {"first": thresholds["95"], name: thresholds_of(name)["95"]}
        pair = {"first": scores["first"], name: scores[name]}
        difference, test = differences(pair, label, groups, threshold, **drawn)
        for key in ("auroc", "sensitivity", "specificity", "accuracy", "brier"):
            found[f"difference of {key}, {name}"] = difference[key]
        if name == "alike" and test is not None:
            # As an interval, so that it is counted like the others: around 0 where nothing is claimed.
            claimed = float(test["p_value"] < 0.05)
            found["no difference of AUROC claimed, alike"] = estimate(0.0, 2 * claimed, 2 * claimed, "test")
    return found


AUROCS: Final = {"first": AUROC, "alike": AUROC, "worse": WORSE}


def _relative(row: CurvePoint, added: float, times: float) -> Estimate:
    """A point of the curve less the truth at its score, so that 0 is right."""
    return moved(row["observed"], by=-float(expit((logit(row["score"]) - added) / times)))


def thresholds_of(name: str) -> dict[str, float]:
    """The scores at which a model has the sensitivities of TARGETS."""
    auroc = AUROCS[name]
    return {
        key: float(expit(risk_logit(np.array([shift(auroc) + ndtri(1 - target)]), auroc))[0])
        for key, target in TARGETS.items()
    }


@cache
def truths() -> dict[str, float]:
    """The true value of everything in `judged`, from normal distributions, by formula or by integration."""
    d = shift(AUROC)
    cut = {key: d + ndtri(1 - target) for key, target in TARGETS.items()}
    sensitivity, specificity = TARGETS["95"], float(ndtr(cut["95"]))
    cells = np.array([SHARE * sensitivity, (1 - SHARE) * (1 - specificity), SHARE * (1 - sensitivity)])
    tp, fp, fn = cells
    tn = 1 - cells.sum()
    found = {
        "auroc": AUROC,
        "sensitivity, true .95": TARGETS["95"],
        "sensitivity, true .50": TARGETS["50"],
        "specificity at .95": specificity,
        "precision at .95": tp / (tp + fp),
        "npv at .95": tn / (tn + fn),
        "accuracy at .95": tp + tn,
        "balanced_accuracy at .95": (sensitivity + specificity) / 2,
        "f1 at .95": 2 * tp / (2 * tp + fp + fn),
        "PPV at 1.8 %": (s := SCREENING * sensitivity) / (s + (1 - SCREENING) * (1 - specificity)),
        "NPV at 1.8 %": (t := (1 - SCREENING) * specificity) / (t + SCREENING * (1 - sensitivity)),
    }
    u = (np.arange(LARGE) + 0.5) / LARGE
    missed = 0.2 * u
    found["partial_auroc"] = float(0.2 * ndtr(d + ndtri(missed)).mean())
    found["average_precision"] = float(
        (SHARE * (1 - u) / (SHARE * (1 - u) + (1 - SHARE) * (1 - ndtr(d + ndtri(u))))).mean()
    )
    # Images of both classes at equal steps of probability.
    latent = np.concatenate([ndtri(u), d + ndtri(u)])
    weight = np.repeat([(1 - SHARE) / LARGE, SHARE / LARGE], LARGE)
    logits = risk_logit(latent)
    risk = expit(logits)
    found["brier"] = float(weight @ (risk * (1 - risk)))
    found["log_loss"] = float(-(weight * (risk * np.log(risk) + (1 - risk) * np.log1p(-risk))).sum())
    above = risk >= RISK
    found["net benefit at 10 %"] = float((weight * above) @ (risk - (1 - risk) * RISK / (1 - RISK)))
    for kind, (added, times) in {"calibrated": (0.0, 1.0), "too high": TOO_HIGH}.items():
        score = expit(added + times * logits)
        order = np.argsort(score)
        of_bin = np.minimum((10 * np.cumsum(weight[order])).astype(int), 9)
        excess = np.bincount(of_bin, weights=(weight * (score - risk))[order])
        found[f"ece, {kind}"] = float(np.abs(excess).sum()) if kind != "calibrated" else 0.0
        found[f"observed_expected, {kind}"] = float((weight @ risk) / (weight @ score))
        found[f"slope, {kind}"], found[f"intercept, {kind}"] = 1 / times, -added / times
        found[f"in_the_large, {kind}"] = _solve(added + times * logits, weight)
        found[f"curve, {kind}"] = 0.0
    brier = {name: _brier(auroc) for name, auroc in AUROCS.items()}
    for name in ("alike", "worse"):
        other = float(ndtr(shift(AUROCS[name]) + ndtri(0.05)))
        found[f"difference of auroc, {name}"] = AUROC - AUROCS[name]
        found[f"difference of sensitivity, {name}"] = 0.0
        found[f"difference of specificity, {name}"] = specificity - other
        found[f"difference of accuracy, {name}"] = (1 - SHARE) * (specificity - other)
        found[f"difference of brier, {name}"] = brier["first"] - brier[name]
    found["no difference of AUROC claimed, alike"] = 0.0
    return found


def _brier(auroc: float) -> float:
    u = (np.arange(LARGE) + 0.5) / LARGE
    of = [expit(risk_logit(ndtri(u) + at, auroc)) for at in (0.0, shift(auroc))]
    return float(sum(share * (risk * (1 - risk)).mean() for share, risk in zip((1 - SHARE, SHARE), of, strict=True)))


def _solve(logits: Float[np.ndarray, " n"], weight: Float[np.ndarray, " n"]) -> float:
    low, high = -5.0, 5.0
    thin = slice(25, None, 50)
    share = weight[thin] / weight[thin].sum()
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if share @ expit(logits[thin] + middle) < SHARE else (low, middle)
    return low


def coverage(design: Design, *, sets: int, resamples: int, seed: int = 0) -> dict[str, Covered]:
    """How often each interval holds the truth in studies of one design."""
    found = {name: Covered() for name in truths()}
    for i in range(sets):
        study = simulate(design, seed + i)
        if study.label.min() == study.label.max():
            continue
        for name, of in judged(study, resamples=resamples).items():
            found[name].add(of, truths()[name])
    return found


def grid(melanomas: Iterable[int]) -> list[Design]:
    """All designs with these numbers of melanoma lesions."""
    return [Design(m, several, random) for m in melanomas for several in (False, True) for random in (False, True)]


def as_markdown(found: Mapping[Design, Mapping[str, Covered]]) -> str:
    """A row an interval, a column a design. A dash: withheld in all sets; in brackets: in that share of them."""
    heads = [f"{d.melanomas} {'1-6' if d.several else '1'} {'random' if d.random else 'fixed'}" for d in found]
    lines = ["| interval | " + " | ".join(heads) + " |", "|---" * (len(heads) + 1) + "|"]
    for name in truths():
        cells = [_cell(of[name]) for of in found.values()]
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(of: Covered) -> str:
    if not of.given:
        return "–"
    withheld = 1 - of.given / of.sets
    return f"{of.share:.3f}".removeprefix("0") + (f" ({withheld:.0%})" if withheld > 0.005 else "")


def command() -> None:
    """Prints the table, and how long each design took to stderr; DIR/coverage.md has what is there after each."""
    found = {}
    out = Path(FLAGS.out)
    out.mkdir(parents=True, exist_ok=True)
    for design in grid(map(int, FLAGS.lesions)):
        began = time.perf_counter()
        sets = FLAGS.sets or SETS.get(design.melanomas, 200)
        if FLAGS.quick:
            sets //= 10
        found[design] = coverage(design, sets=sets, resamples=200 if FLAGS.quick else FLAGS.resamples)
        print(f"{design}: {sets} sets, {time.perf_counter() - began:.0f} s", file=sys.stderr, flush=True)
        (out / "coverage.md").write_text(as_markdown(found) + "\n", encoding="utf-8")
    print(as_markdown(found))


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_list("lesions", [str(m) for m in MELANOMAS], "numbers of melanoma lesions")
    flags.DEFINE_integer("sets", 0, "studies of each design; 0: 1,000, fewer from 60 lesions on", lower_bound=0)
    flags.DEFINE_integer("resamples", 500, "of each bootstrap", lower_bound=2)
    flags.DEFINE_string("out", ".", "where coverage.md is written")
    flags.DEFINE_bool("quick", False, "a tenth of the studies, 200 resamples")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__ or "")
