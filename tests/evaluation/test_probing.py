"""Effects and shares by hand, and what the verdict says."""

import numpy as np
import pytest
from scipy.special import expit
from sklearn.metrics import roc_auc_score

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.probing import effect, share, verdict
from mole_jax.evaluation.statistics.area import cluster_auroc_difference

RNG = np.random.default_rng(0)
LABEL = (np.arange(120) % 3 == 0).astype(int)
LOGIT = RNG.normal(size=120) + 2 * LABEL


def scored(logit):
    ids = np.array([f"i{i}" for i in range(len(logit))])
    return Predictions(image_id=ids, label=LABEL, score=expit(logit), logit=logit)


def test_an_effect_is_what_scikit_learn_and_counting_say():
    other = LOGIT * 0.2 + RNG.normal(size=120)
    found = effect("noise", scored(LOGIT), other, threshold=0.6)
    assert found.auroc["value"] == pytest.approx(roc_auc_score(LABEL, other))
    assert found.difference["value"] == pytest.approx(roc_auc_score(LABEL, other) - roc_auc_score(LABEL, LOGIT))
    called, before = expit(other) >= 0.6, expit(LOGIT) >= 0.6
    assert found.sensitivity["value"] == pytest.approx(called[LABEL == 1].mean())
    assert found.specificity["value"] == pytest.approx(1 - called[LABEL == 0].mean())
    assert found.called_otherwise["value"] == pytest.approx((called != before).mean())
    assert found.melanomas == pytest.approx((other - LOGIT)[LABEL == 1].mean())
    assert found.typical == pytest.approx(np.median(np.abs(other - LOGIT)))
    assert effect("noise", scored(LOGIT), other, threshold=None).sensitivity is None


def test_a_share_is_by_class():
    found = np.arange(120) < 30
    of = share("test", scored(LOGIT), found.astype(float), found)
    assert of.melanomas["value"] == pytest.approx(found[LABEL == 1].mean())
    assert of.others["value"] == pytest.approx(found[LABEL == 0].mean())


@pytest.mark.parametrize(
    ("weight", "of_outline", "text"),
    [
        (1.0, 0.0, "part of what it knows is not the lesion"),
        (1.0, 1.0, "it may know no more than the lesion's size and shape"),
        (0.0, 0.0, "nothing shows that the run knows melanomas by what is around them"),
        (-1.0, 0.0, "worse than chance"),
    ],
)
def test_the_verdict_follows_the_intervals(weight, of_outline, text):
    before, rng = scored(LOGIT), np.random.default_rng(1)
    logits = [share * LOGIT + 0.1 * rng.normal(size=120) for share in (weight, of_outline)]
    hidden, outline = (effect("", before, each, None) for each in logits)
    gain = cluster_auroc_difference(*logits, LABEL, before.groups)[0]
    sentence = verdict(hidden, outline, gain, effect("", before, LOGIT, None).auroc)
    assert text in sentence
    assert f"{hidden.auroc['value']:.3f}" in sentence


def test_too_few_lesions_have_no_verdict():
    few = scored(LOGIT).take(np.arange(6))
    hidden = effect("lesion hidden", few, LOGIT[:6], None)
    assert "too few lesions to say more" in verdict(hidden, hidden, hidden.difference, hidden.auroc)
