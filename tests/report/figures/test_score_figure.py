"""Histograms of scores."""

import numpy as np
import pytest

from mole_jax.report.figures.score_figure import BINS, _edges


def test_the_axis_spans_the_scores_that_occur():
    np.testing.assert_array_equal(_edges(np.array([0.1, 0.4, 0.7])), np.linspace(0.1, 0.7, BINS + 1))


@pytest.mark.parametrize("score", [[0.5, 0.5], [0.5, np.nextafter(0.5, 1)]])
def test_a_dead_network_has_a_histogram_too(score):
    edges = _edges(np.array(score))
    assert (edges[0], edges[-1]) == pytest.approx((0, 1))
    assert np.histogram(score, edges)[0].max() == 2
