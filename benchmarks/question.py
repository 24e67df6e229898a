"""What a question is: who competes, what is measured, and what would be a good answer."""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

import numpy as np

from benchmarks.harness import Contestant, Outcome
from benchmarks.machine import Machine

OURS = "mole_jax"


@dataclass(frozen=True)
class Setting:
    """What the command line and the machine give to every question.

    Attributes:
        rounds: turns that count; 0 for each question's own number.
        quick: small sizes, for a pass in minutes; its ratios are coarse.
        source: a folder with Melanoma/ and NotMelanoma/ full of images; None for drawn ones.
        images: JPEGs of the questions that read a folder.
        work: where the questions write; logs too.
        machine: on which this runs.
    """

    rounds: int
    quick: bool
    source: Path | None
    images: int
    work: Path
    machine: Machine


class Measure(NamedTuple):
    """One column of figures.

    Attributes:
        name: its key in what turns return.
        title: for people.
        unit: such as "images/s".
        better: which way is better.
        flops: floating-point operations an item, to state the share of the chip's peak; 0 for none.
        dtype: in which they are done.
    """

    name: str
    title: str
    unit: str
    better: Literal["higher", "lower"] = "higher"
    flops: float = 0.0
    dtype: str = "float32"


class Verdict(NamedTuple):
    """One line of the answer.

    Attributes:
        what: is measured.
        against: what.
        measured: for people, with its range.
        target: likewise.
        met: None where it could not be judged.
    """

    what: str
    against: str
    measured: str
    target: str
    met: bool | None


class Target(Protocol):
    """Something that can judge an outcome."""

    def judge(self, outcome: Outcome) -> Verdict:
        """Gives the verdict."""
        ...


@dataclass(frozen=True)
class Question:
    """A question, ready to be measured.

    Attributes:
        title: the question.
        contestants: this project's first.
        measures: what their turns return.
        targets: what would be a good answer.
        rounds: that it needs, where the command line does not say.
        warm_up: rounds before that do not count.
        note: what a reader of the figures has to know: sizes, what is left out.
    """

    title: str
    contestants: Sequence[Contestant]
    measures: Sequence[Measure]
    targets: Sequence[Target]
    rounds: int = 5
    warm_up: int = 1
    note: str = ""


@dataclass(frozen=True)
class Ratio:
    """This project is at least so many times as good as the best of some others.

    Attributes:
        measure: which.
        against: names of contestants; those that did not run are passed over.
        label: what they are together.
        at_least: the ratio; above 1 this project is ahead.
        wanted: a goal beyond what is needed.
        ours: the contestant that is this project.
    """

    measure: Measure
    against: Sequence[str]
    label: str
    at_least: float
    wanted: bool = False
    ours: str = OURS

    def judge(self, outcome: Outcome) -> Verdict:
        """Takes the ratio round by round, and of these the median."""
        target = f">= {self.at_least:g}x{' wanted' if self.wanted else ''}"
        mine = outcome.values.get(self.ours, {}).get(self.measure.name)
        peers = {
            name: values
            for name in self.against
            if (values := outcome.values.get(name, {}).get(self.measure.name)) is not None
        }
        if not mine or not peers:
            return Verdict(self.measure.title, self.label, "not measured", target, None)
        pick = max if self.measure.better == "higher" else min
        best = pick(peers, key=lambda name: statistics.median(peers[name]))
        ratios = [a / b if self.measure.better == "higher" else b / a for a, b in zip(mine, peers[best], strict=False)]
        label = best if [best] == list(self.against) else f"{self.label}: {best}"
        return Verdict(
            self.measure.title, label, f"{spread(ratios, 2)}x", target, statistics.median(ratios) >= self.at_least
        )


@dataclass(frozen=True)
class Limit:
    """A figure of this project is at most so large."""

    measure: Measure
    at_most: float
    ours: str = OURS

    def judge(self, outcome: Outcome) -> Verdict:
        """Compares the median."""
        target = f"<= {self.at_most:g} {self.measure.unit}"
        values = outcome.values.get(self.ours, {}).get(self.measure.name)
        if not values:
            return Verdict(self.measure.title, "", "not measured", target, None)
        measured = f"{spread(values, 2)} {self.measure.unit}"
        return Verdict(self.measure.title, "", measured, target, statistics.median(values) <= self.at_most)


@dataclass(frozen=True)
class Linear:
    """The cost is a constant and so much an item, whatever the number of items.

    Attributes:
        title: of the cost.
        sizes: numbers of items.
        measures: the cost at each of them, in seconds.
        within: the largest deviation from the best straight line, as a share of it.
    """

    title: str
    sizes: Sequence[int]
    measures: Sequence[Measure]
    within: float = 0.1
    ours: str = OURS

    def judge(self, outcome: Outcome) -> Verdict:
        """Fits constant + slope * items to the medians, by relative least squares with no negative constant."""
        target = f"within {self.within:.0%} of a line"
        of_ours = outcome.values.get(self.ours, {})
        if not all(of_ours.get(measure.name) for measure in self.measures):
            return Verdict(self.title, "", "not measured", target, None)
        seconds = np.array([statistics.median(of_ours[measure.name]) for measure in self.measures])
        constant, slope = straight_line(np.array(self.sizes, np.float64), seconds)
        deviation = float(np.abs(seconds / (constant + slope * np.array(self.sizes)) - 1).max())
        measured = f"{deviation:.1%} at most; {constant:.2f} s + {1000 * slope:.3f} ms an item"
        return Verdict(self.title, "", measured, target, deviation <= self.within)


def straight_line(sizes: "np.ndarray[tuple[int], np.dtype[np.float64]]", seconds: np.ndarray) -> tuple[float, float]:
    """(constant, slope) that make the sum of ((constant + slope * size) / seconds - 1)^2 smallest; constant >= 0."""
    design = np.stack([1 / seconds, sizes / seconds], axis=1)
    (constant, slope), *_ = np.linalg.lstsq(design, np.ones(len(sizes)), rcond=None)
    if constant < 0:
        column = design[:, 1]
        constant, slope = 0.0, column.sum() / (column @ column)
    return float(constant), float(slope)


def spread(values: Sequence[float], decimals: int) -> str:
    """Median and range: "3.20 (3.10-3.40)"; of one value that alone."""
    if len(values) == 1:
        return f"{values[0]:.{decimals}f}"
    low, high = min(values), max(values)
    return f"{statistics.median(values):.{decimals}f} ({low:.{decimals}f}-{high:.{decimals}f})"
