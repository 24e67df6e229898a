import numpy as np
import pytest

from mole_jax.evaluation.lesions import lesion_estimates
from mole_jax.evaluation.operating_points import OperatingPoint, given_threshold
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.intervals import wilson

SCORES = {"a": [0.9, 0.2], "b": [0.4, 0.4, 0.4], "c": [0.6], "d": [0.1, 0.7, 0.1]}
MELANOMAS = ("a", "b")


def predictions(**change):
    rows = [(name, score, name in MELANOMAS) for name, scores in SCORES.items() for score in scores]
    lesion, score, label = map(np.array, zip(*rows, strict=True))
    return Predictions(np.arange(len(rows)).astype(str), label.astype(int), score, lesion_id=lesion, **change)


def test_worked_by_hand():
    found = lesion_estimates(predictions(), [given_threshold(0.5)])
    assert (found["lesions"], found["melanomas"]) == (4, 2)
    # Means: a .55, b .4 | c .6, d .3. Maxima: a .9, b .4 | c .6, d .7.
    mean, maximum = (found[key]["operating_points"]["given"] for key in ("mean", "maximum"))
    assert mean["confusion"] == {"tp": 1, "fn": 1, "fp": 1, "tn": 1}
    assert maximum["confusion"] == {"tp": 1, "fn": 1, "fp": 2, "tn": 0}
    assert found["mean"]["auroc"]["value"] == pytest.approx(2 / 4)
    assert found["maximum"]["auroc"]["value"] == pytest.approx(2 / 4)
    assert (mean["sensitivity"]["low"], mean["sensitivity"]["high"]) == pytest.approx(wilson(1, 2))
    assert maximum["specificity"]["value"] == 0
    assert maximum["precision"]["value"] == pytest.approx(1 / 3)
    assert maximum["npv"]["value"] == 0


def test_a_lesion_with_an_image_of_a_melanoma_is_one():
    p = predictions()
    label = p.label.copy()
    label[p.lesion_id == "d"] = [0, 1, 0]
    mixed = Predictions(p.image_id, label, p.score, lesion_id=p.lesion_id)
    assert lesion_estimates(mixed, [])["melanomas"] == 3


def test_a_point_without_a_threshold_is_passed_on():
    none = OperatingPoint("youden", "rule", "validation", None, "validation has no melanoma")
    found = lesion_estimates(predictions(), [none])["mean"]["operating_points"]["youden"]
    assert found == {"threshold": None, "reason": "validation has no melanoma"}


def test_where_each_lesion_has_one_image_there_is_nothing_to_add(single):
    assert lesion_estimates(single, [given_threshold(0.5)]) is None
