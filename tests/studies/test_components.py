"""Features of a head on stored features, and labels that are dealt out anew."""

import numpy as np
import pytest

from mole_jax.classifier.scoring import frozen_features
from mole_jax.classifier.storage import open_run
from mole_jax.config import RunConfig
from mole_jax.models.transfer import BN_EPSILON
from mole_jax.studies import experiment
from mole_jax.studies.components import as_picture, features_of
from mole_jax.studies.experiment import run_experiment
from mole_jax.studies.shuffled_labels import with_shuffled_labels


def test_features_are_what_the_last_layer_is_given(data_dir, dataset, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(experiment, "load_backbone", lambda config: tiny)
    config = RunConfig(
        model="transfer", head="linear", normalize="weights", batch_size=10, epochs=1, bn_momentum=0.9,
        data_dir=str(data_dir), run_dir=str(tmp_path / "run"),
    )  # fmt: skip
    run_experiment(config, report=False)
    classifier = open_run(tmp_path / "run")
    features, why_not = features_of(classifier, dataset)
    assert why_not == "" and set(features) == {"train", "test"}
    images = np.stack([dataset.splits["test"][i]["image"] for i in range(len(dataset.rows["test"]))])
    pooled = frozen_features(classifier.network)(images)
    scale, bias = (classifier.variables["params"]["head"]["bn"][key] for key in ("scale", "bias"))
    mean, var = (classifier.variables["batch_stats"]["head"]["bn"][key] for key in ("mean", "var"))
    np.testing.assert_allclose(
        features["test"], (pooled - mean) / np.sqrt(var + BN_EPSILON) * scale + bias, rtol=1e-3, atol=1e-4
    )
    last = classifier.variables["params"]["head"]["fc1"]
    np.testing.assert_allclose(
        features["test"] @ last["kernel"][:, 0] + last["bias"], classifier.logits(images), rtol=1e-3, atol=1e-4
    )


@pytest.mark.parametrize("kind", ["fine-tuned", "cnn_nasr"])
def test_features_of_a_network_that_goes_through_a_few_images_at_a_time(
    data_dir, dataset, tiny, tmp_path, monkeypatch, kind
):
    monkeypatch.setattr(experiment, "load_backbone", lambda config: tiny if config.model == "transfer" else None)
    on_images = {"model": "transfer", "head": "linear", "normalize": "weights", "feature_cache": "off"}
    settings = on_images if kind == "fine-tuned" else {"model": "cnn_nasr"}
    config = RunConfig(
        **settings, batch_size=10, epochs=1, bn_momentum=0.9, data_dir=str(data_dir), run_dir=str(tmp_path / "run")
    )
    run_experiment(config, report=False)
    classifier = open_run(tmp_path / "run")
    assert classifier.network.model.chunked
    features, why_not = features_of(classifier, dataset)
    head = classifier.variables["params"]["head"]
    last = head[max(name for name in head if name.startswith("fc"))]
    assert why_not == ""
    images = np.stack([dataset.splits["test"][i]["image"] for i in range(len(dataset.rows["test"]))])
    np.testing.assert_allclose(
        features["test"] @ last["kernel"][:, 0] + last["bias"], classifier.logits(images), rtol=1e-3, atol=1e-4
    )


def test_labels_are_dealt_out_anew_but_for_those_of_the_test_split(dataset):
    shuffled = with_shuffled_labels(dataset)
    for split in ("train", "validation"):
        labels, was = shuffled.labels[split], dataset.labels[split]
        assert sorted(labels) == sorted(was) and (labels != was).any()
        source = shuffled.splits[split]
        assert [source[i]["label"] for i in range(len(source))] == labels.tolist()
        np.testing.assert_array_equal(source[3]["image"], dataset.splits[split][3]["image"])
    assert shuffled.rows["test"] == dataset.rows["test"]
    assert dataset.labels["train"].tolist() == [row.label for row in dataset.rows["train"]], "the dataset stays"


def test_a_component_is_grey_where_it_changes_nothing():
    component = np.zeros((2, 2, 3), np.float32)
    component[0, 0], component[1, 1, 2] = -0.5, 0.25
    picture = as_picture(component)
    assert picture[0, 0].tolist() == [0, 0, 0] and picture[1, 1].tolist() == [128, 128, 191]
    assert picture[0, 1].tolist() == [128, 128, 128]
