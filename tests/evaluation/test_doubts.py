import dataclasses

import numpy as np
import pytest

from mole_jax.evaluation.doubts import doubts
from mole_jax.evaluation.statistics.area import cluster_auroc
from mole_jax.evaluation.summary import evaluate


def of(p):
    return doubts(p, cluster_auroc(p.score, p.label, p.groups))


def test_good_scores_raise_none(single):
    assert of(single) == []


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda p: 1 - p.score, "the scores of test look inverted: AUROC 0.2"),
        (
            lambda p: (p.score > 0.5).astype(float),
            "test has only two different scores, 0 and 1: they look like decisions",
        ),
        (lambda p: np.full(p.n, 0.3), "test has one score for all images, 0.3: it tells nothing apart"),
        (lambda p: np.maximum(p.score, 1 - p.score), "no score of test lies below .5"),
        (lambda p: (p.label + p.score) / 2, "test AUROC 1.000 is above honest published results"),
    ],
)
def test_each_doubt_is_a_sentence(single, change, said):
    found = of(dataclasses.replace(single, score=change(single)))
    assert any(doubt.startswith(said) for doubt in found), found


def test_an_interval_that_reaches_half_is_no_inversion(single):
    few = single.select(np.arange(single.n) < 40)
    assert of(dataclasses.replace(few, score=np.random.default_rng(1).random(few.n))) == []


def test_they_stand_among_the_warnings(single):
    turned = dataclasses.replace(single, score=1 - single.score)
    assert any("look inverted" in warning for warning in evaluate(turned, resamples=20)["warnings"])
