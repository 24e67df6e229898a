"""The learning rate's share at each step, by hand; and what the optimiser makes of it, against optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from mole_jax.config import RunConfig
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.schedules import rate_share

LAYERS = ("conv1", "layer1_0/conv1", "layer2_0/conv1")


def shares(steps, per_epoch=4, **settings):
    share = rate_share(RunConfig(**settings), steps=steps, per_epoch=per_epoch)
    return [float(share(jnp.int32(step))) for step in range(steps)]


def test_a_constant_rate_has_no_schedule():
    assert rate_share(RunConfig(), steps=8, per_epoch=4) is None


def test_cosine_falls_from_the_whole_towards_nothing():
    np.testing.assert_allclose(
        shares(8, schedule="cosine"), 0.5 * (1 + np.cos(np.pi * np.arange(8) / 8)), rtol=1e-5, atol=1e-7
    )


def test_steps_divide_by_ten_at_half_and_at_three_quarters():
    np.testing.assert_allclose(shares(8, schedule="step"), [1, 1, 1, 1, 0.1, 0.1, 0.01, 0.01], rtol=1e-5)


def test_a_warm_up_rises_in_equal_parts_and_the_schedule_has_the_rest():
    got = shares(12, schedule="cosine", warmup_epochs=1)
    np.testing.assert_allclose(got[:4], [0.25, 0.5, 0.75, 1], rtol=1e-6)
    np.testing.assert_allclose(got[4:], 0.5 * (1 + np.cos(np.pi * np.arange(8) / 8)), rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(shares(6, warmup_epochs=0.5), [0.5, 1, 1, 1, 1, 1], rtol=1e-6)
    np.testing.assert_allclose(shares(4, schedule="step", warmup_epochs=1), [0.25, 0.5, 0.75, 1], rtol=1e-6)


def updates(config, gradients, *, share=None, layers=()):
    """Three updates from the same gradients."""
    params = jax.tree.map(jnp.ones_like, gradients)
    optimizer = build_optimizer(config, jax.tree.map(lambda _: True, params), share=share, layers=layers)
    state, given = optimizer.init(params), []
    for _ in range(3):
        update, state = optimizer.update(gradients, state, params)
        given.append(update)
    return given


def test_the_optimiser_follows_the_schedule_as_optax_sgd_does():
    config = RunConfig(optimizer="sgd", learning_rate=0.5, schedule="cosine")
    share = rate_share(config, steps=4, per_epoch=4)
    theirs = optax.sgd(lambda count: optax.cosine_decay_schedule(0.5, 4)(count.astype(jnp.float32)))
    gradients = {"head": {"kernel": jnp.asarray([2.0, -1.0])}}
    state = theirs.init(gradients)
    for ours in updates(config, gradients, share=share):
        expected, state = theirs.update(gradients, state)
        np.testing.assert_allclose(ours["head"]["kernel"], expected["head"]["kernel"], rtol=1e-6)


def test_a_long_gradient_is_shortened_and_a_short_one_is_not():
    for length, clipped in ((5.0, 2.0), (1.0, 1.0)):
        gradients = {"head": {"kernel": jnp.asarray([0.6, -0.8]) * length}}
        ours = updates(RunConfig(optimizer="sgd", learning_rate=1.0, clip_norm=2.0), gradients)[0]
        np.testing.assert_allclose(ours["head"]["kernel"], jnp.asarray([-0.6, 0.8]) * clipped, rtol=1e-5)


def test_layers_near_the_input_move_less_and_the_head_as_ever():
    config = RunConfig(
        model="transfer", optimizer="sgd", learning_rate=1.0, finetune_learning_rate=0.1, layer_decay=0.25
    )
    one = jnp.ones(2)
    gradients = {
        "backbone": {
            "conv1": {"kernel": one},
            **{name: {"conv1": {"kernel": one}} for name in ("layer1_0", "layer2_0")},
        },
        "head": {"fc1": {"kernel": one}},
    }
    moved = updates(config, gradients, layers=LAYERS)[0]
    of_layers = [moved["backbone"]["conv1"], *(moved["backbone"][name]["conv1"] for name in ("layer1_0", "layer2_0"))]
    np.testing.assert_allclose([layer["kernel"][0] for layer in of_layers], [-0.025, -0.05, -0.1], rtol=1e-6)
    np.testing.assert_allclose(moved["head"]["fc1"]["kernel"], -1)
