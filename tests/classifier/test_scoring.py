"""A finished run scores images as it scored its own, to the last bit, whatever stands beside them."""

import dataclasses

import numpy as np
import pytest

from mole_jax.classifier.network import BATCH_SIZE, build_network, image_batch_size
from mole_jax.classifier.scoring import frozen_features, padded, scorer
from mole_jax.config import RunConfig
from mole_jax.inputs.normalize import Inputs
from mole_jax.training.loop import train

PLAIN = RunConfig(model="logistic", epochs=2, batch_size=10, learning_rate=0.01)
TRANSFER = RunConfig(model="transfer", head="linear", normalize="weights", batch_size=10, epochs=2, bn_momentum=0.9)
CNN = RunConfig(model="cnn", epochs=1, batch_size=10, bn_momentum=0.9)
FINETUNED = dataclasses.replace(TRANSFER, epochs=1, finetune_epochs=1, finetune_learning_rate=1e-2, unfreeze=0.5)


def images_of(dataset, split):
    return np.stack([dataset.splits[split][i]["image"] for i in range(len(dataset.splits[split]))])


def scorer_of(config, trained, tiny):
    backbone = tiny if config.model == "transfer" else None
    network = build_network(config, trained.inputs, backbone, stage=trained.stage)
    return network, scorer(network, trained.variables)


@pytest.mark.slow
@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        CNN,
        dataclasses.replace(PLAIN, normalize="dataset"),
        TRANSFER,
        dataclasses.replace(TRANSFER, feature_cache="off", epochs=1),
        dataclasses.replace(TRANSFER, head="pooled", epochs=1),
        FINETUNED,
    ],
    ids=["logistic", "cnn", "dataset", "features", "images", "pooled", "finetuned"],
)
def test_an_image_has_the_same_logit_alone_and_in_its_split(dataset, tiny, tmp_path, config):
    trained = train(config, dataset, tmp_path, pretrained=tiny if config.model == "transfer" else None)
    _, score = scorer_of(config, trained, tiny)
    for split in ("validation", "test"):
        images = images_of(dataset, split)
        np.testing.assert_array_equal(score(images), trained.logits[split])
        np.testing.assert_array_equal(score(images[::-1]), trained.logits[split][::-1])
        for i in (0, len(images) // 2, len(images) - 1):
            assert score(images[i : i + 1])[0] == trained.logits[split][i]


def test_the_score_of_maps_goes_through_the_precision_in_which_they_are_stored(dataset, tiny, tmp_path, monkeypatch):
    from mole_jax.models.transfer import WIDTHS

    monkeypatch.setitem(WIDTHS, "paper", (8,))
    config = dataclasses.replace(TRANSFER, head="paper", epochs=1)
    trained = train(config, dataset, tmp_path, pretrained=tiny)
    network, score = scorer_of(config, trained, tiny)
    images = images_of(dataset, "test")
    assert frozen_features(network)(images[:2]).dtype == np.float16
    np.testing.assert_array_equal(score(images), trained.logits["test"])


def test_images_are_normalised_with_the_runs_own_means(dataset, tmp_path):
    config = dataclasses.replace(PLAIN, normalize="dataset")
    trained = train(config, dataset, tmp_path)
    assert trained.inputs == Inputs("dataset", tuple(dataset.facts.channel_mean))
    images = np.random.default_rng(0).integers(0, 256, (20, 224, 224, 3), np.uint8)
    fc1 = trained.variables["params"]["fc1"]
    kernel, bias = (np.asarray(fc1[leaf], np.float64) for leaf in ("kernel", "bias"))
    pixels = images / 255 - np.array(dataset.facts.channel_mean)
    logits = scorer_of(config, trained, None)[1](images)
    np.testing.assert_allclose(logits, pixels.reshape(20, -1) @ kernel[:, 0] + bias, rtol=1e-4, atol=1e-4)


def test_padding_is_zeros_and_marked():
    batch, mask = padded(np.ones((3, 2), np.float32), 5)
    assert batch.sum() == 6
    assert mask.tolist() == [True, True, True, False, False]


def test_a_network_that_reads_its_batch_is_scored_in_batches_of_its_training():
    for normalize, size in (("image", BATCH_SIZE), ("batch", 10)):
        config = dataclasses.replace(PLAIN, normalize=normalize)
        assert build_network(config, Inputs(normalize), None, stage="images").batch_size == size


def test_what_goes_through_a_few_images_at_a_time_is_not_filled_up_with_many(tiny):
    for config, backbone in ((CNN, None), (FINETUNED, tiny)):
        network = build_network(config, Inputs("torchvision"), backbone, stage="images")
        assert network.batch_size == image_batch_size() < BATCH_SIZE
    assert build_network(TRANSFER, Inputs("torchvision"), tiny, stage="head").batch_size == BATCH_SIZE
