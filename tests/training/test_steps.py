"""The train step: traced once, and its loss, penalty, weights and mask by hand."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mole_jax.classifier.network import inputs_of
from mole_jax.classifier.scoring import evaluation_step
from mole_jax.config import RunConfig
from mole_jax.inputs.normalize import Inputs, normalizer
from mole_jax.models import mlp
from mole_jax.models.base import from_linen
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.state import initial_state
from mole_jax.training.steps import l2_penalty, train_step
from mole_jax.vocabulary.diagnoses import GROUPS

SHAPE = (1, 8, 8, 3)
MODEL = mlp.model(widths=(4, 1))


def batch(seed, n=6):
    random = np.random.default_rng(seed)
    return {
        "image": random.integers(0, 256, (n, 8, 8, 3)).astype(np.uint8),
        "label": (np.arange(n) % 3 == 0).astype(np.int32),
        "mask": np.ones(n, bool),
    }


def setup(*, trainable=True, class_weights=(1.0, 1.0), network=MODEL, **settings):
    config = RunConfig(**{"model": "mlp", "optimizer": "sgd", "learning_rate": 0.5, **settings})
    shapes = jax.eval_shape(lambda: network.init(jax.random.key(0), input_shape=SHAPE))["params"]
    mask = jax.tree.map(lambda _: True, shapes) if trainable is True else trainable
    optimizer = build_optimizer(config, mask)
    state = initial_state(network, optimizer, seed=config.seed, input_shape=SHAPE, averaged=config.ema > 0)
    normalize = normalizer(inputs_of(config, channel_mean=(0.5, 0.5, 0.5), backbone=None))
    return state, jax.jit(
        train_step(network, optimizer, normalize, config, class_weights=class_weights), donate_argnums=0
    )


def went_down(before, gradients, after):
    """Plain gradient descent at the rate that `setup` gives."""
    jax.tree.map(
        lambda x, g, y: np.testing.assert_allclose(y, x - 0.5 * g, rtol=1e-4, atol=1e-6), before, gradients, after
    )


def test_the_step_is_traced_once():
    traces = []

    def counting(*args, **kwargs):
        traces.append(1)
        return MODEL.scores(*args, **kwargs)

    state, step = setup(network=MODEL._replace(scores=counting), optimizer="adam")
    for seed in range(4):
        state, _ = step(state, jax.device_put(batch(seed)))
    assert len(traces) == 1
    assert int(state.step) == 4


@pytest.mark.parametrize("reduction", ["mean", "sum"])
@pytest.mark.parametrize("weights", [(1.0, 1.0), (0.75, 1.5)])
def test_loss_and_update_by_hand(reduction, weights):
    state, step = setup(loss_reduction=reduction, class_weights=weights, l2=0.01, normalize="dataset")
    given = batch(0)
    params = jax.tree.map(np.array, state.params)

    def by_hand(params):
        x = jnp.asarray(given["image"], jnp.float32).reshape(6, -1) / 255 - 0.5
        h = jnp.maximum(x @ params["head"]["fc1"]["kernel"] + params["head"]["fc1"]["bias"][None], 0)
        logits = (h @ params["head"]["fc2"]["kernel"] + params["head"]["fc2"]["bias"][None])[:, 0]
        y = jnp.asarray(given["label"], jnp.float32)
        p = 1 / (1 + jnp.exp(-logits))
        losses = -(weights[1] * y * jnp.log(p) + weights[0] * (1 - y) * jnp.log(1 - p))
        penalty = 0.01 * sum((leaf**2).sum() for leaf in jax.tree.leaves(params))
        return (losses.sum() if reduction == "sum" else losses.mean()) + penalty, losses.mean() + penalty

    gradients, mean_loss = jax.grad(by_hand, has_aux=True)(jax.tree.map(jnp.asarray, params))
    new, loss = step(state, jax.device_put(given))
    np.testing.assert_allclose(loss, mean_loss, rtol=1e-5)
    went_down(params, gradients, new.params)
    assert float(new.epoch.images) == 6
    np.testing.assert_allclose(new.epoch.loss, 6 * mean_loss, rtol=1e-5)


def test_a_step_that_learns_the_groups_by_hand():
    class Flat(nn.Module):
        @nn.compact
        def __call__(self, images, *, train):
            del train
            return nn.Dense(1 + len(GROUPS))(images.reshape(len(images), -1))

    network = from_linen(Flat())
    state, step = setup(
        network=network,
        class_weights=(0.75, 1.5),
        model="transfer",
        head="linear",
        feature_cache="off",
        normalize="imagenet",
        diagnosis_weight=1.0,
    )
    given = batch(0) | {"label": np.asarray([1, 2, 3, 8, 4, 1], np.int32)}
    normalize = normalizer(Inputs("torchvision"))

    def by_hand(params):
        images = normalize(jnp.asarray(given["image"]), jnp.ones(6, bool))
        scores, _ = network.scores({"params": params, "batch_stats": {}}, images, train=True)
        losses = optax.softmax_cross_entropy_with_integer_labels(scores, given["label"] - 1)
        return (losses * jnp.where(given["label"] == 1, 1.5, 0.75)).mean()

    before = jax.tree.map(np.array, state.params)
    value, gradients = jax.value_and_grad(by_hand)(jax.tree.map(jnp.asarray, before))
    new, loss = step(state, jax.device_put(given))
    np.testing.assert_allclose(loss, value, rtol=1e-5)
    went_down(before, gradients, new.params)


def test_a_frozen_parameter_stays_bit_for_bit_and_has_no_moments():
    mask = {"head": {"fc1": {"kernel": False, "bias": False}, "fc2": {"kernel": True, "bias": True}}}
    state, step = setup(trainable=mask, optimizer="adam")
    before = jax.tree.map(np.array, state.params["head"])
    moments = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state))
    assert moments < 3 * (4 + 1) + 3
    for seed in range(3):
        state, _ = step(state, jax.device_put(batch(seed)))
    np.testing.assert_array_equal(state.params["head"]["fc1"]["kernel"], before["fc1"]["kernel"])
    assert not np.array_equal(state.params["head"]["fc2"]["kernel"], before["fc2"]["kernel"])


def test_l2_counts_kernels_and_biases_but_not_batch_norm():
    one = jnp.ones
    params = {
        "conv1": {"kernel": one((3, 2)), "bias": one(2)},
        "bn1": {"scale": one(9), "bias": one(9)},
        "head": {"fc1": {"kernel": 2 * one(2)}},
    }
    trainable = jax.tree.map(lambda _: True, params)
    assert float(l2_penalty(params, trainable)) == 6 + 2 + 8
    trainable["conv1"] = {"kernel": False, "bias": False}
    assert float(l2_penalty(params, trainable)) == 8


def test_evaluation_ignores_what_stands_beside_an_image():
    state, _ = setup()
    evaluate = jax.jit(evaluation_step(MODEL, normalizer(Inputs("image"))))
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    given = batch(1)
    alone = [evaluate(variables, jax.device_put({k: v[i : i + 1] for k, v in given.items()}))[0] for i in range(6)]
    np.testing.assert_allclose(evaluate(variables, jax.device_put(given)), np.array(alone), rtol=1e-5, atol=1e-6)


def test_sgd_is_optax_sgd():
    params = {"a": jnp.asarray([1.0, 2.0])}
    ours = build_optimizer(RunConfig(optimizer="sgd", learning_rate=0.1), {"a": True})
    updates, _ = ours.update({"a": jnp.asarray([3.0, -1.0])}, ours.init(params), params)
    np.testing.assert_allclose(optax.apply_updates(params, updates)["a"], [0.7, 2.1], rtol=1e-6)


def test_the_average_of_the_weights_by_hand_and_the_weights_are_as_without():
    state, step = setup(ema=0.3)
    plain, plain_step = setup()
    expected = np.array(state.params["head"]["fc1"]["kernel"])
    for i, share in enumerate([1 / 10, 2 / 11, 3 / 12, 0.3, 0.3]):
        state, _ = step(state, jax.device_put(batch(i)))
        plain, _ = plain_step(plain, jax.device_put(batch(i)))
        expected = share * expected + (1 - share) * np.array(state.params["head"]["fc1"]["kernel"])
    np.testing.assert_allclose(state.variables["params"]["head"]["fc1"]["kernel"], expected, rtol=1e-5, atol=1e-7)
    jax.tree.map(np.testing.assert_array_equal, state.params, plain.params)
    assert plain.variables["params"] is plain.params
