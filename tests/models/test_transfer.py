"""The transfer models: the head by hand, what is frozen, and what the compiled step computes."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.efficientnet_lite import EfficientNetLiteConfig
from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.resnet import ResNet, ResNetConfig
from mole_jax.config import RunConfig
from mole_jax.models import transfer
from mole_jax.models.transfer import WIDTHS, extract, on_features, on_images, trained_layers
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.state import initial_state
from mole_jax.training.steps import train_step

TINY = ResNetConfig(stage_sizes=(2, 1), width=4)
SHAPE = (1, 64, 64, 3)
HEADS = ("paper", "pooled", "linear")


@pytest.fixture(scope="module")
def backbone():
    """Random weights whose statistics are not the trivial 0 and 1."""
    variables = load_pretrained("random", architecture=TINY).variables
    random = np.random.default_rng(1)
    noisy = lambda x: (x + random.uniform(0.1, 0.3, x.shape)).astype(np.float32)  # noqa: E731
    return {"params": variables["params"], "batch_stats": jax.tree.map(noisy, variables["batch_stats"])}


def images(n=6, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(n, 64, 64, 3)), jnp.float32)


@pytest.fixture
def narrow(monkeypatch):
    """The paper's head with fewer neurons."""
    monkeypatch.setitem(WIDTHS, "paper", (8, 4))


@pytest.mark.parametrize("head", HEADS)
def test_the_head_by_hand(head, narrow):
    model = on_features(head)
    shape = (5, 2, 2, 7) if head == "paper" else (5, 7)
    random = np.random.default_rng(0)
    x = random.uniform(0, 9, shape).astype(np.float32)
    variables = jax.tree.map(
        lambda leaf: random.uniform(0.2, 1, leaf.shape).astype(np.float32),
        model.init(jax.random.key(0), input_shape=(1, *shape[1:])),
    )
    params, stats = variables["params"]["head"], variables["batch_stats"]["head"]["bn"]
    y = (x - stats["mean"]) / np.sqrt(stats["var"] + 1e-3) * params["bn"]["scale"] + params["bn"]["bias"]
    y = y.reshape(5, -1)
    layers = len(WIDTHS[head]) + 1
    for i in range(1, layers + 1):
        y = y @ params[f"fc{i}"]["kernel"] + params[f"fc{i}"]["bias"]
        y = np.maximum(y, 0) if i < layers else y
    ours, same_stats = model.apply(variables, jnp.asarray(x), train=False)
    np.testing.assert_allclose(ours, y[:, 0], rtol=2e-5)
    jax.tree.map(np.testing.assert_array_equal, same_stats, variables["batch_stats"])


@pytest.mark.parametrize("head", HEADS)
def test_images_and_features_give_the_same_logits_from_the_same_head(head, narrow, backbone):
    full, alone = on_images(TINY, head, backbone=backbone), on_features(head)
    features = extract(TINY, backbone, images())[transfer.features_of(head)]
    of_full = full.init(jax.random.key(3), input_shape=SHAPE)
    of_alone = alone.init(jax.random.key(3), input_shape=(1, *features.shape[1:]))
    jax.tree.map(np.testing.assert_array_equal, of_full["params"]["head"], of_alone["params"]["head"])
    for train in (False, True):
        a, stats_a = full.apply(of_full, images(), train=train)
        b, stats_b = alone.apply(of_alone, features, train=train)
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-6)
        jax.tree.map(
            lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4, atol=1e-6), stats_a["head"], stats_b["head"]
        )
        jax.tree.map(np.testing.assert_array_equal, stats_a["backbone"], backbone["batch_stats"])


def test_dropout_needs_training_and_a_key():
    model = on_features("pooled", dropout=0.5)
    variables = model.init(jax.random.key(0), input_shape=(1, 7))
    x = jnp.ones((4, 7)) * jnp.arange(4.0)[:, None]
    logits = [model.apply(variables, x, train=True, key=jax.random.key(k))[0] for k in (1, 1, 2)]
    np.testing.assert_array_equal(logits[0], logits[1])
    assert not np.allclose(logits[0], logits[2])
    np.testing.assert_array_equal(*(model.apply(variables, x, train=False)[0] for _ in range(2)))


def steps(backbone, unfreeze, **settings):
    config = RunConfig(model="transfer", normalize="weights", **settings)
    model = on_images(TINY, "linear", unfreeze=unfreeze, backbone=backbone)
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=SHAPE))["params"]
    optimizer = build_optimizer(config, model.trainable(shapes))
    state = initial_state(model, optimizer, seed=0, input_shape=SHAPE)
    step = jax.jit(
        train_step(model, optimizer, lambda x, mask: x.astype(jnp.float32) / 16 - 6, config), donate_argnums=0
    )
    return model, state, step


def batch(seed=0, n=6):
    random = np.random.default_rng(seed)
    return {
        # Of increasing contrast, so that the features differ and no gradient cancels.
        "image": (random.integers(0, 256, (n, 64, 64, 3)) * np.arange(1, n + 1).reshape(n, 1, 1, 1) / n).astype(
            np.uint8
        ),
        "label": (np.arange(n) % 2).astype(np.int32),
        "mask": np.ones(n, bool),
    }


@pytest.mark.parametrize("unfreeze", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
def test_what_is_frozen_stays_bit_for_bit_and_has_no_moments(backbone, unfreeze, optimizer):
    settings = {
        "weight_decay": 0.1,
        "l2": 0.1,
        "learning_rate": 0.1,
        "finetune_learning_rate": 0.1,
        "optimizer": optimizer,
    }
    model, state, step = steps(backbone, unfreeze, **settings)
    before, mask = jax.tree.map(np.array, state.params), model.trainable(state.params)
    trained = sum(p.size for p, t in zip(jax.tree.leaves(before), jax.tree.leaves(mask), strict=True) if t)
    moments = sum(leaf.size for leaf in jax.tree.leaves(state.opt_state))
    assert moments == (2 * trained + 1 if optimizer == "adam" else 0)
    for seed in range(3):
        state, _ = step(state, jax.device_put(batch(seed)))
    for (path, old), new, trains in zip(
        jax.tree_util.tree_flatten_with_path(before)[0],
        jax.tree.leaves(state.params),
        jax.tree.leaves(mask),
        strict=True,
    ):
        moved = old.tobytes() != np.asarray(new).tobytes()
        # A channel that ReLU has switched off everywhere has no gradient, so a trained vector may stay.
        assert moved == trains or (trains and old.size < 32), jax.tree_util.keystr(path)
    jax.tree.map(np.testing.assert_array_equal, state.batch_stats["backbone"], backbone["batch_stats"])


def convolutions(jitted, *args):
    """Convolutions and matrix products (which XLA makes of some 1x1 convolutions) of the optimised program."""
    return len(
        re.findall(r" (?:convolution|dot)\(|custom_call_target=\"[^\"]*(?:conv|dot|matmul)", compiled(jitted, *args))
    )


def compiled(jitted, *args):
    return jitted.lower(*args).compile().as_text()


def test_no_backward_pass_through_what_is_frozen(backbone):
    model, state, step = steps(backbone, 0.0)
    forward = jax.jit(lambda variables, x: model.apply(variables, x.astype(jnp.float32) / 255, train=False)[0])
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    count = convolutions(forward, variables, batch()["image"])
    # 1 stem, 3 blocks of 3, 2 shortcuts, and the head's product; the backward pass has one more: the head's gradient.
    assert count == 1 + 9 + 2 + 1
    assert convolutions(step, state, batch()) in (count, count + 1)
    _, all_state, all_step = steps(backbone, 1.0)
    assert convolutions(all_step, all_state, batch()) > 2 * count
    _, last_state, last_step = steps(backbone, 1 / 24)
    assert convolutions(last_step, last_state, batch()) in (count, count + 1)  # bn3 alone needs no convolution


def test_the_last_tenth_of_resnet50():
    # 53 convolutions and as many batch norms: 11 layers, the last block and five of the one before.
    assert trained_layers(BACKBONES["resnet50"], 0.1) == {
        *(f"layer4_2/{kind}{i}" for kind in ("conv", "bn") for i in (1, 2, 3)),
        *("layer4_1/bn1", "layer4_1/conv2", "layer4_1/bn2", "layer4_1/conv3", "layer4_1/bn3"),
    }
    assert trained_layers(BACKBONES["resnet50"], 0.0) == frozenset()
    assert trained_layers(BACKBONES["resnet50"], 1e-9) == {"layer4_2/bn3"}


@pytest.mark.parametrize("name", ["resnet18", "resnet50"])
def test_all_layers_are_the_networks_own(name):
    config = BACKBONES[name]
    params = jax.eval_shape(
        lambda: ResNet(config).init(jax.random.key(0), jnp.zeros((1, 32, 32, 3)), train=False)["params"]
    )
    paths = [path for path, _ in jax.tree_util.tree_flatten_with_path(params)[0]]
    assert trained_layers(config, 1.0) == {"/".join(key.key for key in path[:-1]) for path in paths}


def test_layers_of_the_backbone_have_a_learning_rate_of_their_own(backbone):
    _, state, step = steps(
        backbone, 1.0, optimizer="sgd", learning_rate=0.5, finetune_learning_rate=0.5, loss_reduction="sum"
    )
    _, other_state, other_step = steps(
        backbone, 1.0, optimizer="sgd", learning_rate=0.5, finetune_learning_rate=1.0, loss_reduction="sum"
    )
    before = jax.tree.map(np.array, state.params)
    new, _ = step(state, jax.device_put(batch()))
    other, _ = other_step(other_state, jax.device_put(batch()))
    jax.tree.map(np.testing.assert_array_equal, new.params["head"], other.params["head"])

    def moves(state):
        pairs = zip(jax.tree.leaves(state.params["backbone"]), jax.tree.leaves(before["backbone"]), strict=True)
        return np.concatenate([(np.asarray(new) - old).ravel() for new, old in pairs])

    assert np.abs(moves(new)).max() > 1e-3
    np.testing.assert_allclose(moves(other), 2 * moves(new), rtol=1e-2, atol=1e-5)


def test_weight_decay_is_adamw_on_kernels_only():
    params = {"head": {"fc1": {"kernel": jnp.asarray([[2.0], [-1.0]]), "bias": jnp.asarray([3.0])}}}
    gradients = jax.tree.map(lambda p: 0.3 * p, params)
    mask = jax.tree.map(lambda _: True, params)
    plain = build_optimizer(RunConfig(learning_rate=0.1), mask)
    decayed = build_optimizer(RunConfig(learning_rate=0.1, weight_decay=0.5), mask)
    a, _ = plain.update(gradients, plain.init(params), params)
    b, _ = decayed.update(gradients, decayed.init(params), params)
    np.testing.assert_allclose(
        b["head"]["fc1"]["kernel"], a["head"]["fc1"]["kernel"] - 0.1 * 0.5 * params["head"]["fc1"]["kernel"], rtol=1e-6
    )
    np.testing.assert_array_equal(b["head"]["fc1"]["bias"], a["head"]["fc1"]["bias"])
    reference = optax.adamw(0.1, eps=1e-7, weight_decay=0.5, mask={"head": {"fc1": {"kernel": True, "bias": False}}})
    with jax.numpy_dtype_promotion("standard"):
        expected, _ = reference.update(gradients, reference.init(params), params)
    jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=1e-4), b, expected)


def test_fine_tuning_by_chunks_has_the_batchs_scores_statistics_and_gradients(monkeypatch):
    """What a CPU does with all of an EfficientNet-Lite, against what an accelerator does: the batch at once."""
    lite = EfficientNetLiteConfig(width=0.1, depth=0.3)
    variables = jax.tree.map(jnp.asarray, load_pretrained("random", architecture=lite).variables)
    model = on_images(lite, "pooled", unfreeze=1.0, backbone=variables, levels="all", dropout=0.3)
    given = model.init(jax.random.key(0), input_shape=SHAPE)
    weights = jnp.arange(1.0, 7.0)

    def run():
        @jax.jit
        def objective(params):
            state = {"params": params, "batch_stats": given["batch_stats"]}
            scores, stats = model.scores(state, images(6), train=True, key=jax.random.key(1))
            return (scores[:, 0] * weights).sum(), (scores, stats)

        (_, found), gradients = jax.value_and_grad(objective, has_aux=True)(given["params"])
        return found, gradients, str(jax.make_jaxpr(objective)(given["params"]))

    *chunked, program = run()
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    *whole, program_of_gpus = run()
    assert "conv_general_dilated" in program_of_gpus and "conv_general_dilated" not in program
    assert "remat" in program and "remat" not in program_of_gpus

    def close(a, b):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4 * max(1.0, float(jnp.abs(b).max())))

    jax.tree.map(close, chunked, whole)
    assert all(float(jnp.abs(leaf).max()) > 0 for leaf in jax.tree.leaves(chunked[1]["backbone"]))


@pytest.mark.parametrize(
    "settings", [{"unfreeze": 0.1}, {"unfreeze": 1.0, "train_bn": True}], ids=["few layers", "batch norm trained"]
)
def test_other_fine_tuning_takes_the_batch_at_once(settings):
    """Few layers want few maps, and batch norm that is trained looks at the batch."""
    lite = EfficientNetLiteConfig(width=0.1, depth=0.3)
    variables = jax.tree.map(jnp.asarray, load_pretrained("random", architecture=lite).variables)
    model = on_images(lite, "linear", backbone=variables, **settings)
    given = model.init(jax.random.key(0), input_shape=SHAPE)
    assert "remat" not in str(jax.make_jaxpr(lambda: model.scores(given, images(4), train=True))())
