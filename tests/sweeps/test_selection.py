"""The choice, its interval over seeds and its optimism, against scipy, scikit-learn and a simulation."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.groups import draw_weights
from mole_jax.sweeps import selection
from mole_jax.sweeps.selection import Scored, choose, corrected, figure_of, over_seeds


def scored(signal, *, seed, label, lesion, seeds=1):
    random = np.random.default_rng(seed)
    each = []
    for _ in range(seeds):
        logit = signal * label + random.normal(size=len(label))
        each.append(
            Predictions(
                image_id=np.array([f"i{i}" for i in range(len(label))]),
                label=label,
                score=1 / (1 + np.exp(-logit)),
                logit=logit,
                lesion_id=lesion,
            )
        )
    return Scored({"l2": seed}, each)


@pytest.fixture(scope="module")
def images():
    random = np.random.default_rng(0)
    label = (np.arange(300) % 5 == 0).astype(int)
    return {"label": label, "lesion": np.array([f"l{i}" for i in random.integers(0, 200, 300)])}


def test_figures_are_the_usual_ones(images):
    of = scored(1.0, seed=1, **images).validation[0]
    assert figure_of(of, "auroc") == pytest.approx(roc_auc_score(of.label, of.logit))
    assert figure_of(of, "accuracy") == np.mean((of.logit >= 0) == of.label)


def test_the_interval_over_seeds_is_students():
    values = [0.8, 0.83, 0.79, 0.84]
    low, high = stats.t.interval(0.95, 3, np.mean(values), stats.sem(values))
    found = over_seeds(values)
    assert found["value"] == pytest.approx(np.mean(values))
    assert [found["low"], found["high"]] == pytest.approx([low, high])
    assert over_seeds([0.8]) == {"value": 0.8, "low": None, "high": None, "method": None, "reason": selection.ONE_SEED}


def test_the_best_mean_on_validation_is_chosen(images):
    poor, good = (scored(signal, seed=i, seeds=3, **images) for i, signal in enumerate((0.2, 2.0)))
    assert choose([poor, good], "auroc") is good
    assert choose([good, good], "auroc") is good
    assert choose([], "auroc") is None


def test_the_correction_is_what_its_definition_says(images, monkeypatch):
    monkeypatch.setattr(selection, "RESAMPLES", 20)
    monkeypatch.setattr(selection, "AT_A_TIME", 7)
    configurations = [scored(0.3, seed=seed, seeds=2, **images) for seed in range(4)]
    first = configurations[0].validation[0]
    (weights,) = draw_weights(first.groups, resamples=20, seed=0, at_a_time=20)
    judged = []
    for resample in weights.T:
        drawn = resample[first.groups.index]

        def mean(configuration, weight):
            return np.mean([roc_auc_score(p.label, p.logit, sample_weight=weight) for p in configuration.validation])

        best = max(configurations, key=lambda each: mean(each, drawn))
        judged.append(mean(best, (drawn == 0).astype(float)))
    found = corrected(configurations)
    assert found.value == pytest.approx(np.mean(judged))
    assert found.optimism == pytest.approx(choose(configurations, "auroc").figure("auroc")["value"] - np.mean(judged))


def test_of_many_worthless_ones_the_best_looks_good_and_is_seen_through(images):
    """None can tell: the truth is .5."""
    configurations = [scored(0.0, seed=seed, **images) for seed in range(60)]
    best = choose(configurations, "auroc").figure("auroc")["value"]
    found = corrected(configurations)
    assert best > 0.57
    assert abs(found.value - 0.5) < (best - 0.5) / 3


def test_a_clear_winner_is_hardly_corrected(images):
    configurations = [scored(2.0 if seed == 0 else 0.0, seed=seed, **images) for seed in range(5)]
    assert abs(corrected(configurations).optimism) < 0.01


def test_without_a_choice_or_lesions_there_is_no_correction(images):
    assert corrected([scored(1.0, seed=0, **images)]).reason == "there was nothing to choose from"
    few = {"label": np.array([0, 1] * 6), "lesion": np.array([f"l{i}" for i in range(12)])}
    found = corrected([scored(1.0, seed=seed, **few) for seed in range(2)])
    assert found.value is None and found.reason.startswith("6 lesions with melanoma; an interval needs 10")
