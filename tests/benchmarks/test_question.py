"""Targets judge by hand-worked numbers."""

import numpy as np
import pytest

from benchmarks.harness import Outcome
from benchmarks.question import OURS, Limit, Linear, Measure, Ratio, spread, straight_line

RATE = Measure("rate", "rate", "images/s")
SECONDS = Measure("seconds", "job", "s", "lower")


def outcome(measure, **values):
    return Outcome({name: {measure: of} for name, of in values.items()})


def test_a_ratio_is_the_median_of_the_rounds_against_the_best_peer():
    measured = outcome("rate", mole_jax=[30.0, 20.0, 33.0], slow=[1.0, 1.0, 1.0], fast=[20.0, 10.0, 30.0])
    verdict = Ratio(RATE, ("slow", "fast"), "the best peer", 1.4).judge(measured)
    # 30/20, 20/10, 33/30
    assert verdict.measured == "1.50 (1.10-2.00)x"
    assert verdict.against == "the best peer: fast"
    assert verdict.met
    assert not Ratio(RATE, ("slow", "fast"), "the best peer", 1.6).judge(measured).met


def test_where_less_is_better_the_ratio_turns_round():
    measured = outcome("seconds", mole_jax=[2.0], quick=[8.0], slow=[10.0])
    verdict = Ratio(SECONDS, ("slow", "quick"), "peers", 4.0).judge(measured)
    assert (verdict.measured, verdict.against, verdict.met) == ("4.00x", "peers: quick", True)


def test_missing_peers_are_passed_over():
    measured = outcome("rate", mole_jax=[3.0], here=[2.0])
    verdict = Ratio(RATE, ("missing", "here"), "the best peer", 1.0).judge(measured)
    assert (verdict.against, verdict.met) == ("the best peer: here", True)
    alone = Ratio(RATE, ("missing",), "missing", 1.0, wanted=True).judge(measured)
    assert (alone.measured, alone.target, alone.met) == ("not measured", ">= 1x wanted", None)


def test_nothing_is_judged_without_this_project():
    nothing = Outcome()
    assert Ratio(RATE, ("peer",), "peer", 1.0).judge(nothing).met is None
    assert Limit(SECONDS, 1.0).judge(nothing).met is None
    assert Linear("cost", (1, 2), (SECONDS, RATE)).judge(nothing).met is None


def test_a_limit_is_held_by_the_median():
    measured = outcome("seconds", mole_jax=[0.5, 1.0, 3.0])
    verdict = Limit(SECONDS, 1.0).judge(measured)
    assert (verdict.measured, verdict.target, verdict.met) == ("1.00 (0.50-3.00) s", "<= 1 s", True)
    assert not Limit(SECONDS, 0.9).judge(measured).met


def linear(cost):
    sizes = (1000, 2000, 4000, 8000)
    measures = [Measure(f"cost {size}", "cost", "s", "lower") for size in sizes]
    values = {measure.name: [cost(size)] for measure, size in zip(measures, sizes, strict=True)}
    return Linear("cost", sizes, measures).judge(Outcome({OURS: values}))


def test_a_line_is_linear_and_a_parabola_is_not():
    line = linear(lambda size: 2 + 0.003 * size)
    assert line.met
    assert line.measured == "0.0% at most; 2.00 s + 3.000 ms an item"
    assert linear(lambda size: 0.003 * size * (1.05 if size == 4000 else 1)).met
    assert not linear(lambda size: 1e-6 * size**2).met
    assert not linear(lambda size: 1e-4 * size * np.log(size) ** 2).met


def test_the_line_has_no_negative_constant():
    constant, slope = straight_line(np.array([1.0, 2.0]), np.array([1.0, 3.0]))
    assert constant == 0
    # The smallest (slope - 1)^2 + (2 slope / 3 - 1)^2.
    assert slope == pytest.approx((1 + 2 / 3) / (1 + 4 / 9))


def test_spread():
    assert spread([3.0], 1) == "3.0"
    assert spread([3.0, 1.0, 2.0], 1) == "2.0 (1.0-3.0)"
