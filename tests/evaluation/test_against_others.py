"""Against numbers of other programs, recorded so that the tests need none of them.

The data are `make(300, seed=11, images_per_lesion=3, digits=2)` with their score `a`; score `b` is the mean of `a` and
the scores of seed 12, kept within .005 and .995 and rounded to two digits.

R 4.2.2 with Debian's r-cran-proc 1.18.0 and r-cran-rms 6.5.0 (d: the data, x: qlogis of `a` clipped at 1e-7):

    a <- roc(d$label, d$a, levels = c(0, 1), direction = "<"); b <- roc(d$label, d$b, ...)
    auc(a); var(a, method = "delong"); ci.auc(a); auc(a, partial.auc = c(1, .8), partial.auc.focus = "sensitivity")
    roc.test(a, b, method = "delong")
    glm(label ~ offset(x), binomial); glm(label ~ x, binomial)
    k <- quantile(x, c(.1, .5, .9)); rcspline.eval(c(-3, -1.5, 0, 2), k, inclx = TRUE)
    f <- robcov(lrm(label ~ rcs(x, k), x = TRUE, y = TRUE), d$lesion)
    predict(f, data.frame(x = c(-3, -1.5, 0, 2)), se.fit = TRUE)

model-auditor 0.1.16 (PyPI) on score `b`: its metrics, and over 5,000 of its cluster resamples (1,500 for the two fits;
numpy's generator of seed 0) their standard errors.
"""

import dataclasses

import numpy as np
import pytest

from mole_jax.evaluation.calibration import calibration_estimates, logits_of
from mole_jax.evaluation.calibration_curve import KNOTS, spline
from mole_jax.evaluation.split_estimates import estimates_of
from mole_jax.evaluation.statistics.area import auroc_influence, cluster_partial_auroc
from mole_jax.evaluation.statistics.counts import Counter
from mole_jax.evaluation.statistics.delong import delong_auroc, delong_test
from mole_jax.evaluation.statistics.groups import group_images
from mole_jax.evaluation.statistics.logistic import fit_logistic
from mole_jax.evaluation.statistics.metrics import brier, log_loss

RMS_X = np.array([-3.0, -1.5, 0.0, 2.0])
RMS_BASIS = [0.00587541318169, 0.42011998846577, 1.97196951763372, 4.78256457949659]
RMS_PREDICTED = [-2.240627330391, -0.748167326655, 0.626161477482, 2.381604932064]
RMS_ERRORS = [0.559965481259, 0.262833490023, 0.302817373307, 0.852556693692]
# model-auditor: value, standard error
AUDITOR = {
    "auroc": (0.7259243538954914, 0.04414921432348705),
    "brier": (0.21638299999999996, 0.023149679042102727),
    "log_loss": (0.6274217316718449, 0.05997307971839965),
    "in_the_large": (0.6431727103853987, 0.23080544151462853),
    "slope": (0.853138624315194, 0.23106474232139831),
}


@pytest.fixture
def a(make):
    """The predictions with score `a`."""
    return make(300, seed=11, images_per_lesion=3, digits=2)


@pytest.fixture
def b(a, make):
    """The same images with score `b`."""
    other = make(300, seed=12, images_per_lesion=3, digits=2)
    return dataclasses.replace(a, score=np.round(np.clip(0.5 * a.score + 0.5 * other.score, 0.005, 0.995), 2))


def calibration_of(p):
    groups = group_images(p.group, p.label)
    return calibration_estimates(p.score, logits_of(p), p.label, groups, resamples=20, seed=0)


def test_proc_delong(a, b):
    found = delong_auroc(a.score, a.label)
    assert found["value"] == pytest.approx(0.82491511, abs=1e-8)
    assert (found["low"], found["high"]) == pytest.approx((0.776603172, 0.873227048), abs=1e-8)
    test = delong_test(a.score, b.score, a.label)
    assert test["value"] == pytest.approx(0.824915110357 - 0.725924353895, abs=1e-11)
    assert test["z"] == pytest.approx(4.49634460305, rel=1e-10)
    assert test["p_value"] == pytest.approx(6.91316619542e-06, rel=1e-9)


def test_proc_variance_is_ours_where_every_image_is_a_lesion(a):
    alone = group_images(a.image_id, a.label)
    assert auroc_influence(a.score, a.label, alone).variance == pytest.approx(0.000607592967025, rel=1e-10)


def test_proc_partial_area(a):
    found = cluster_partial_auroc(a.score, a.label, group_images(a.group, a.label))
    assert found["value"] == pytest.approx(0.0963893605, abs=1e-10)


def test_glm_in_the_large_and_joint(a):
    found = calibration_of(a)
    assert found["in_the_large"]["value"] == pytest.approx(0.696934399608, rel=1e-8)
    assert found["slope"]["value"] == pytest.approx(0.935897298765, rel=1e-8)
    assert found["intercept"]["value"] == pytest.approx(0.627220675663, rel=1e-8)


def test_rms_spline_and_its_robust_errors(a):
    logits, groups = logits_of(a), group_images(a.group, a.label)
    knots = np.quantile(logits, KNOTS)
    at = spline(RMS_X, knots)
    np.testing.assert_allclose(at[:, 2], RMS_BASIS, rtol=1e-9)
    beta, covariance = fit_logistic(spline(logits, knots), a.label, groups)
    np.testing.assert_allclose(at @ beta, RMS_PREDICTED, rtol=1e-5)
    errors = np.sqrt(np.einsum("ip,pq,iq->i", at, covariance, at))
    # rms leaves out the factor for a finite number of groups.
    np.testing.assert_allclose(errors * np.sqrt((groups.count - 1) / groups.count), RMS_ERRORS, rtol=1e-4)


def test_model_auditor_values(b):
    groups = group_images(b.group, b.label)
    found = {**estimates_of(b.score, b.label, groups, [], resamples=20, seed=0)[0], **calibration_of(b)}
    for name, (value, _) in AUDITOR.items():
        assert found[name]["value"] == pytest.approx(value, rel=1e-6), name


def test_model_auditor_errors(b):
    """Its cluster bootstrap and ours, drawn apart, agree; so do the variances that we have by formula."""
    groups = group_images(b.group, b.label)
    counter = Counter(b.score, b.label, groups)
    drawn = counter.bootstrap(lambda c: {"brier": brier(c), "log_loss": log_loss(c)}, resamples=4000, seed=1)
    errors = {name: samples.std(ddof=1) for name, samples in drawn.items()}
    errors["auroc"] = np.sqrt(auroc_influence(b.score, b.label, groups).variance)
    for name, error in errors.items():
        assert error == pytest.approx(AUDITOR[name][1], rel=0.05), name
