"""A finished run scores other images exactly as it scored its own."""

import dataclasses

import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.data.dataset import open_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.training.loop import train
from mole_jax.training.scoring import score

PLAIN = RunConfig(model="logistic", epochs=2, batch_size=10, learning_rate=0.01)
TRANSFER = RunConfig(model="transfer", head="linear", normalize="weights", batch_size=10, epochs=2, bn_momentum=0.9)


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Drawn lesions that no run has seen, all in test."""
    folder = tmp_path_factory.mktemp("other")
    prepare("other", layout="synthetic", protocol="external", examples=20, seed=1, data_dir=folder, workers=1)
    return open_dataset(folder, "other")


def rescored(config, dataset, run_dir, splits, *, on=None, pretrained=None):
    facts = dataset.facts
    return score(
        run_dir,
        config,
        on or dataset,
        splits,
        train_images=sum(facts.counts["train"]),
        channel_mean=facts.channel_mean,
        pretrained=pretrained,
    )


@pytest.mark.parametrize(
    "config",
    [
        PLAIN,
        dataclasses.replace(PLAIN, normalize="dataset"),
        TRANSFER,
        dataclasses.replace(TRANSFER, feature_cache="off", epochs=1),
        dataclasses.replace(TRANSFER, epochs=1, finetune_epochs=1, finetune_learning_rate=1e-2, unfreeze=0.5),
    ],
    ids=["plain", "dataset", "features", "images", "finetuned"],
)
def test_its_own_images_get_the_same_logits(dataset, tiny, tmp_path, config):
    pretrained = tiny if config.model == "transfer" else None
    trained = train(config, dataset, tmp_path, pretrained=pretrained)
    again = rescored(config, dataset, tmp_path, ["validation", "test"], pretrained=pretrained)
    assert list(again) == ["validation", "test"]
    for split, logits in again.items():
        np.testing.assert_array_equal(logits, trained.logits[split])


def test_another_datasets_images_are_normalised_with_the_runs_own_means(dataset, other, tmp_path):
    config = dataclasses.replace(PLAIN, normalize="dataset")
    weights = train(config, dataset, tmp_path).variables["params"]
    images = np.stack([other.splits["test"][i]["image"] for i in range(20)])
    kernel, bias = (np.asarray(leaf, np.float64) for leaf in (weights["fc1"]["kernel"], weights["fc1"]["bias"]))
    pixels = images / 255 - np.array(dataset.facts.channel_mean)
    logits = rescored(config, dataset, tmp_path, ["test"], on=other)["test"]
    np.testing.assert_allclose(logits, pixels.reshape(20, -1) @ kernel[:, 0] + bias, rtol=1e-4, atol=1e-4)


def test_stored_features_of_a_dataset_with_one_split_are_used_again(dataset, other, tiny, tmp_path):
    train(TRANSFER, dataset, tmp_path, pretrained=tiny)
    first = rescored(TRANSFER, dataset, tmp_path, ["test"], on=other, pretrained=tiny)["test"]
    (stored,) = (other.directory / "features").glob("*/pooled/test.npy")
    before = stored.stat().st_mtime_ns
    again = rescored(TRANSFER, dataset, tmp_path, ["test"], on=other, pretrained=tiny)["test"]
    np.testing.assert_array_equal(first, again)
    assert stored.stat().st_mtime_ns == before
