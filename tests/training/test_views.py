"""Several positions of an image: stored for the head, averaged in its score, the same bits in training and after it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.classifier.network import build_network
from mole_jax.classifier.scoring import evaluation_step, scorer
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.inputs.augment import position
from mole_jax.inputs.normalize import Inputs, normalizer
from mole_jax.inputs.pipeline import of_one_position
from mole_jax.models import logistic
from mole_jax.placement import one_device
from mole_jax.training.loop import train
from mole_jax.training.views import Views, sources_of

CONFIG = RunConfig(
    **{"model": "transfer", "head": "linear", "normalize": "weights", "augment": "dihedral", "views": 3},
    **{"batch_size": 8, "epochs": 2, "bn_momentum": 0.9},
)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    """With stored features of its own: what others have stored would not be computed, and the log not say so."""
    folder = tmp_path_factory.mktemp("data")
    prepare("synthetic", examples=50, data_dir=folder, workers=1)
    return load_dataset(folder, "synthetic")


@pytest.fixture(scope="module")
def trained(dataset, tiny, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    return train(CONFIG, dataset, folder, pretrained=tiny), (folder / "train.log").read_text()


def test_the_positions_are_those_of_the_square():
    square = np.arange(9, dtype=np.int32).reshape(3, 3, 1).repeat(3, axis=2)
    ours = [np.asarray(position(jnp.asarray(square), which)) for which in range(8)]
    theirs = [np.rot90(flipped, turns) for flipped in (square, square[:, ::-1]) for turns in range(4)]
    assert {each.tobytes() for each in ours} == {each.tobytes() for each in theirs}
    np.testing.assert_array_equal(ours[0], square)


def test_a_score_is_the_mean_of_those_of_its_positions():
    model, random = logistic.model(), np.random.default_rng(0)
    images = random.integers(0, 256, (4, 6, 6, 3)).astype(np.uint8)
    kernel = random.normal(size=(108, 1)).astype(np.float32)
    variables = model.init(jax.random.key(0), input_shape=(1, 6, 6, 3))
    variables["params"] = jax.tree.map(lambda p: jnp.asarray(kernel) if p.ndim == 2 else p, variables["params"])
    step = evaluation_step(model, normalizer(Inputs("image")), views=8)
    ours = step(variables, {"image": jnp.asarray(images), "mask": jnp.ones(4, bool)})
    pixels = images / 255 - (images / 255).mean(axis=(1, 2), keepdims=True)
    turned = [np.rot90(m, k, axes=(1, 2)) for m in (pixels, pixels[:, :, ::-1]) for k in range(4)]
    by_hand = np.mean([each.reshape(4, -1) @ kernel[:, 0] for each in turned], axis=0)
    np.testing.assert_allclose(ours, by_hand, rtol=1e-4, atol=1e-5)


def test_a_stored_position_is_drawn_for_each_image_and_each_equally_often():
    features = jnp.arange(8)[None, :, None] + 10 * jnp.arange(2000)[:, None, None]
    drawn = np.asarray(of_one_position(features, jax.random.key(0)))[:, 0]
    np.testing.assert_array_equal(drawn // 10, np.arange(2000))
    assert np.bincount(drawn % 10, minlength=8).min() > 200


def test_sources_side_by_side_are_one():
    ones, twos = ([{"image": np.full(3, value), "label": i} for i in range(4)] for value in (1, 2))
    record = Views([ones, twos])[2]
    assert (len(Views([ones, twos])), record["label"], record["image"].tolist()) == (4, 2, [[1] * 3, [2] * 3])


def test_the_head_learns_from_stored_positions_and_scores_a_photograph_as_its_split(trained, dataset, tiny):
    run, log = trained
    assert run.stage == "head"
    assert "position 8 of 8: features of" in log
    network = build_network(CONFIG, Inputs("torchvision"), tiny, stage="head")
    images = np.stack([dataset.splits["test"][i]["image"] for i in range(3)])
    views = scorer(network, run.variables, views=3)
    np.testing.assert_array_equal(views(images), run.logits["test"][:3])
    np.testing.assert_array_equal(views(images[1:2]), run.logits["test"][1:2])
    one = scorer(network, run.variables)
    turned = [one(np.ascontiguousarray(each)) for each in (images, images[:, :, ::-1], images[:, ::-1])]
    np.testing.assert_allclose(views(images), np.mean(turned, axis=0), rtol=1e-4, atol=1e-5)


def test_a_head_on_all_levels_is_the_same_on_stored_features_and_on_images(dataset, tiny, tmp_path):
    config = dataclasses.replace(CONFIG, levels="all", augment="none", views=1, epochs=1)
    run = train(config, dataset, tmp_path / "run", pretrained=tiny)
    images = np.stack([dataset.splits["test"][i]["image"] for i in range(3)])
    fed = normalizer(Inputs("torchvision"))(jnp.asarray(images), jnp.ones(3, bool))
    _, named = tiny.config.network().apply(tiny.variables, fed, train=False)
    averages = [named[level].mean(axis=(1, 2)) for level in ("stem", "layer1", "layer2")]
    stored = sources_of(build_network(config, Inputs("torchvision"), tiny, stage="head"), dataset, one_device())["test"]
    np.testing.assert_allclose(
        [stored[i]["image"] for i in range(3)], np.concatenate(averages, axis=1), rtol=1e-4, atol=1e-5
    )
    whole = build_network(config, Inputs("torchvision"), tiny, stage="images")
    variables = {kind: {"backbone": tiny.variables[kind], **run.variables[kind]} for kind in run.variables}
    np.testing.assert_allclose(scorer(whole, variables)(images), run.logits["test"][:3], rtol=1e-3, atol=1e-4)
