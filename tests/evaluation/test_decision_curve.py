import warnings

import pytest

from mole_jax.evaluation.decision_curve import RISKS, decision_curve
from mole_jax.evaluation.statistics.groups import group_images


@pytest.mark.parametrize("digits", [None, 2])
def test_agrees_with_dcurves(make, digits):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its own dependencies' deprecations
        dcurves = pytest.importorskip("dcurves")
        pandas = pytest.importorskip("pandas")
        p = make(500, seed=9, digits=digits)
        frame = pandas.DataFrame({"label": p.label, "score": p.score})
        table = dcurves.dca(data=frame, outcome="label", modelnames=["score"], thresholds=RISKS)
    expected = {
        name: table[table.model == name].sort_values("threshold").net_benefit.tolist()
        for name in ("score", "all", "none")
    }
    rows = decision_curve(p.score, p.label, group_images(p.group, p.label), resamples=20, seed=0)
    assert [row["model"]["value"] for row in rows] == pytest.approx(expected["score"])
    assert [row["treat_all"] for row in rows] == pytest.approx(expected["all"])
    assert [row["treat_none"] for row in rows] == expected["none"]


def test_has_a_band_from_one_to_thirty_percent(clustered):
    groups = group_images(clustered.group, clustered.label)
    rows = decision_curve(clustered.score, clustered.label, groups, resamples=100, seed=0)
    assert [row["risk"] for row in rows] == pytest.approx([i / 100 for i in range(1, 31)])
    assert all(row["model"]["low"] < row["model"]["value"] < row["model"]["high"] for row in rows)
