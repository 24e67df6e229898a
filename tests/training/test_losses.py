"""Losses against optax, scikit-learn and their formulas; targets between the classes; class weights."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from sklearn.metrics import hinge_loss, log_loss

from mole_jax.config import RunConfig
from mole_jax.models.base import melanoma_logits
from mole_jax.training.losses import build_loss, of_groups, targets_of
from mole_jax.training.steps import class_weights

LOGITS = jnp.asarray([-7.0, -1.5, -0.2, 0.0, 0.4, 1.0, 6.0, 80.0])
LABELS = jnp.asarray([0.0, 1.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0])


def loss(logits=LOGITS, targets=LABELS, **settings):
    return build_loss(RunConfig(**settings))(logits, targets)


def test_cross_entropy_is_optax_and_scikit_learn():
    np.testing.assert_array_equal(loss(), optax.sigmoid_binary_cross_entropy(LOGITS, LABELS))
    np.testing.assert_allclose(loss()[:7].mean(), log_loss(LABELS[:7], 1 / (1 + np.exp(-LOGITS[:7]))), rtol=1e-5)


def test_focal_loss_by_its_formula_and_without_focus_it_is_cross_entropy():
    margins = np.where(LABELS == 1, LOGITS, -LOGITS).astype(np.float64)
    p = 1 / (1 + np.exp(-margins))
    by_hand = -((1 - p[:7]) ** 3) * np.log(p[:7])
    np.testing.assert_allclose(loss(loss="focal", focal_gamma=3.0)[:7], by_hand, rtol=1e-3)
    np.testing.assert_allclose(loss(loss="focal", focal_gamma=0.0), loss(), rtol=1e-5)


def test_hinge_is_scikit_learn():
    np.testing.assert_allclose(loss(loss="hinge").mean(), hinge_loss(2 * LABELS - 1, LOGITS), rtol=1e-6)
    np.testing.assert_allclose(loss(loss="squared_hinge"), loss(loss="hinge") ** 2, rtol=1e-6)


@pytest.mark.parametrize("name", ["cross_entropy", "focal", "hinge", "squared_hinge"])
def test_a_target_between_the_classes_costs_its_share_of_both(name):
    one, other = (loss(targets=jnp.full(8, target), loss=name) for target in (1.0, 0.0))
    np.testing.assert_allclose(loss(targets=jnp.full(8, 0.3), loss=name), 0.3 * one + 0.7 * other, rtol=1e-5)
    assert np.isfinite(jax.grad(lambda x: loss(x, loss=name).sum())(LOGITS)).all()


def test_label_smoothing_is_optax():
    smoothed = optax.smooth_labels(jax.nn.one_hot(LABELS.astype(int), 2), 0.2)
    two = optax.softmax_cross_entropy(jnp.stack([jnp.zeros(8), LOGITS], axis=1), smoothed)
    np.testing.assert_allclose(loss(label_smoothing=0.2), two, rtol=1e-5)


def test_with_the_groups_an_image_costs_the_softmax_over_all_classes():
    labels = jnp.asarray([1, 2, 4, 3, 0])  # a melanoma, three groups, and one that is not known
    scores = jnp.asarray(np.random.default_rng(0).normal(0, 3, (5, 4)), jnp.float32)
    shown = targets_of(labels, 3)
    np.testing.assert_array_equal(shown, [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0], [0, 0, 0, 0]])
    np.testing.assert_array_equal(targets_of(labels, 0), [[1], [0], [0], [0], [0]])
    costs = loss(melanoma_logits(scores), shown[:, 0]) + of_groups(scores[:, 1:], shown[:, 1:])
    np.testing.assert_allclose(
        costs[:4], optax.softmax_cross_entropy_with_integer_labels(scores, labels - 1)[:4], rtol=1e-5
    )
    no_melanoma = 1 - jax.nn.softmax(scores)[4, 0]  # which of them it is costs nothing where nobody knows
    np.testing.assert_allclose(costs[4], -jnp.log(no_melanoma), rtol=1e-5)
    assert np.isfinite(jax.grad(lambda x: of_groups(x, shown[:, 1:]).sum())(1e4 * scores[:, 1:])).all()


def test_weights_are_one_on_average_and_effective_ones_milder():
    labels = np.array([0] * 5000 + [1] * 500, np.int32)
    mole, melanoma = class_weights("weights", labels)
    np.testing.assert_allclose([10 * mole, melanoma], 5.5, rtol=1e-12)
    mole, melanoma = class_weights("effective", labels)
    np.testing.assert_allclose(5000 * mole + 500 * melanoma, 5500, rtol=1e-12)
    np.testing.assert_allclose(melanoma / mole, (1 - 0.999**5000) / (1 - 0.999**500), rtol=1e-12)
    assert class_weights("sampler", labels) == (1.0, 1.0)
