"""What all drawings share."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from mole_jax.report.figures.drawing import BLUE, band, draw

HERE, GONE = {"value": 0.2, "low": 0.1, "high": 0.3}, {"value": 0.2, "low": None, "high": None}


@pytest.mark.parametrize("missing", [(), (3, 4), (0,), (2,), (0, 1, 2, 3, 4)], ids=str)
def test_a_band_has_a_gap_where_an_estimate_has_no_interval(missing):
    estimates = [GONE if i in missing else HERE for i in range(5)]
    axes = Figure().subplots()
    band(axes, range(5), estimates, color=BLUE, alpha=0.2)
    drawn = np.concatenate([path.vertices for path in axes.collections[0].get_paths()] or [np.empty((0, 2))])
    covered = {i for i in range(5) if any(start <= i <= end for start, end in _spans(axes))}
    assert covered == set(range(5)) - set(missing)
    assert np.isfinite(drawn).all()
    assert draw("band", lambda axes: band(axes, range(5), estimates, color=BLUE, alpha=0.2)).startswith(b"<svg")


def _spans(axes):
    return [(path.vertices[:, 0].min(), path.vertices[:, 0].max()) for path in axes.collections[0].get_paths()]
