"""What mistakes cost at each threshold, and what a fixed number of images to look at finds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from mole_jax.errors import UserError
from mole_jax.evaluation.cross_fitting import cutoff
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.schema import AtBudget, ExpectedCost
from mole_jax.evaluation.statistics.counts import Counter, Counts
from mole_jax.evaluation.statistics.intervals import Estimate, bootstrapped, undefined
from mole_jax.evaluation.statistics.sums import Sums


def expected_cost(
    predictions: Predictions,
    points: Sequence[OperatingPoint],
    *,
    miss: float,
    false_alarm: float,
    resamples: int,
    seed: int,
) -> ExpectedCost:
    """The mean cost of an image, misses and false alarms at their prices, at the share of melanomas of these images.

    Args:
        predictions: what is judged.
        points: frozen thresholds.
        miss: cost of a melanoma that is not called.
        false_alarm: cost of another image that is.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Raises:
        UserError: a cost below 0, or both 0.
    """
    if not (miss >= 0 and false_alarm >= 0 and 0 < miss + false_alarm < np.inf):
        raise UserError(f"costs {miss:g} and {false_alarm:g} are not two numbers from 0, one above it; give 20,1")
    positive = predictions.label == 1
    called = {
        point.name: predictions.score >= cutoff(point, predictions) for point in points if point.threshold is not None
    }
    called |= {"all": np.ones_like(positive), "none": np.zeros_like(positive)}
    sums = Sums(predictions.groups)
    sums.add("images", np.ones(predictions.n))
    for name, of in called.items():
        sums.add(name, _cost(of, positive, miss, false_alarm))
    value, samples = sums.value(), sums.bootstrap(resamples=resamples, seed=seed)
    found: dict[str, Estimate] = {
        name: bootstrapped(
            float(value[name][0] / predictions.n), samples[name][0] / samples["images"][0], predictions.groups
        )
        for name in called
    }
    return {
        "miss": miss,
        "false_alarm": false_alarm,
        "call_all": found.pop("all"),
        "call_none": found.pop("none"),
        "operating_points": found,
    }


def _cost(
    called: Bool[np.ndarray, " n"], positive: Bool[np.ndarray, " n"], miss: float, alarm: float
) -> Float[np.ndarray, " n"]:
    return float(miss) * (positive & ~called) + float(alarm) * (~positive & called)


def at_budget(predictions: Predictions, budget: int, *, resamples: int, seed: int) -> AtBudget:
    """Sensitivity and PPV where the `budget` images with the highest scores are looked at and no others.

    Of images that tie at the last place as large a share counts as has room, which is what drawing among them gives on
    average. A resample looks at the same share of its images.

    Args:
        predictions: what is judged.
        budget: how many images are looked at, 1 to all.
        resamples: of the cluster bootstrap.
        seed: of the cluster bootstrap.

    Raises:
        UserError: a budget below 1 or above the number of images.
    """
    if not 1 <= budget <= predictions.n:
        raise UserError(f"a budget of {budget} is not between 1 and the {predictions.n:,} images; give for example 100")
    share = budget / predictions.n

    def statistics(counts: Counts) -> Mapping[str, Float[np.ndarray, " r"]]:
        everything = counts.positive_below + counts.negative_below
        room = share * everything[-1]
        looked, found = (of[-1] - of[::-1] for of in (everything, counts.positive_below))  # highest score first
        hits = np.array([np.interp(room[r], looked[:, r], found[:, r]) for r in range(len(room))])
        positives = found[-1]
        return {
            "sensitivity": np.divide(hits, positives, out=np.full_like(hits, np.nan), where=positives > 0),
            "ppv": hits / room,
        }

    counter = Counter(predictions.score, predictions.label, predictions.groups)
    value, samples = counter.value(statistics), counter.bootstrap(statistics, resamples=resamples, seed=seed)
    estimates: dict[str, Any] = {
        name: undefined("there is no melanoma")
        if np.isnan(value[name])
        else bootstrapped(float(value[name]), samples[name], predictions.groups)
        for name in ("sensitivity", "ppv")
    }
    last = float(np.sort(predictions.score)[-budget])
    return {
        "images": budget,
        "lowest_score": last,
        "tied": int((predictions.score == last).sum()),
        "sensitivity": estimates["sensitivity"],
        "ppv": estimates["ppv"],
    }
