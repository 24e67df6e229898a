import numpy as np
import pytest
import statsmodels.api as sm

from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.logistic import fit_logistic


def test_coefficients_and_covariance_agree_with_statsmodels():
    rng = np.random.default_rng(0)
    lesion = rng.integers(0, 80, size=400)
    x = rng.normal(size=400) + rng.normal(size=80)[lesion]
    label = (rng.random(400) < 1 / (1 + np.exp(1 - 2 * x))).astype(int)
    groups = group_images(lesion.astype(str), label)
    design = np.column_stack([np.ones(400), x])
    beta, covariance = fit_logistic(design, label, groups)
    fitted = sm.Logit(label, design).fit(
        disp=0, cov_type="cluster", cov_kwds={"groups": groups.index, "use_correction": False}
    )
    np.testing.assert_allclose(beta, fitted.params, rtol=1e-6)
    np.testing.assert_allclose(covariance, fitted.cov_params() * groups.count / (groups.count - 1), rtol=1e-5)


def test_converges_from_far_away():
    # Full Newton steps overshoot on such heavy tails.
    x = np.array([-16.0, -16, -16, 16, 16, 16, 0.01, -0.01, 16, -16])
    label = np.array([0, 0, 0, 1, 1, 1, 0, 1, 0, 1])
    groups = group_images(np.arange(10).astype(str), label)
    (beta,), _ = fit_logistic(x[:, None], label, groups)
    assert beta == pytest.approx(sm.Logit(label, x).fit(disp=0).params[0], rel=1e-6)


def test_separable_labels_do_not_converge_silently():
    x = np.array([-1.0, -2.0, 1.0, 2.0])
    label = np.array([0, 0, 1, 1])
    with pytest.raises(ArithmeticError, match="found no maximum"):
        fit_logistic(x[:, None], label, group_images(np.arange(4).astype(str), label))
