import numpy as np

from mole_jax.evaluation.statistics import metrics
from mole_jax.evaluation.statistics.counts import Counter, from_positives
from mole_jax.evaluation.statistics.sums import Sums

DRAWN = {"resamples": 40, "seed": 3}


def test_sums_are_those_of_the_same_resamples_as_the_table(clustered):
    sums = Sums(clustered.groups)
    sums.add("images", np.ones(clustered.n))
    sums.add("brier", metrics.squared_errors(clustered.score, clustered.label))
    sums.add("log_loss", metrics.log_losses(clustered.score, clustered.label))
    tenth = np.minimum((clustered.score * 10).astype(int), 9)
    sums.add("tenths", clustered.label, cell=tenth, cells=10)
    counter = Counter(clustered.score, clustered.label, clustered.groups)
    table = counter.bootstrap(metrics.threshold_free, **DRAWN)
    drawn, value = sums.bootstrap(**DRAWN), sums.value()
    for name in ("brier", "log_loss"):
        np.testing.assert_allclose(drawn[name][0] / drawn["images"][0], table[name], rtol=1e-12)
    np.testing.assert_array_equal(value["tenths"], np.bincount(tenth, weights=clustered.label, minlength=10))
    assert drawn["tenths"].shape == (10, 40)


def test_average_precision_needs_the_scores_of_positives_alone(clustered):
    whole, few = (
        Counter(score, clustered.label, clustered.groups)
        for score in (clustered.score, from_positives(clustered.score, clustered.label))
    )
    assert len(few.score) < len(whole.score)

    def precision(counts):
        return {"ap": metrics.average_precision(counts)}

    np.testing.assert_allclose(few.value(precision)["ap"], whole.value(precision)["ap"], rtol=1e-12)
    np.testing.assert_allclose(
        few.bootstrap(precision, **DRAWN)["ap"], whole.bootstrap(precision, **DRAWN)["ap"], rtol=1e-12
    )
