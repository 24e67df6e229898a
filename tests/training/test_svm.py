"""Support vector machines: scikit-learn's optimum and kernel; stored, opened and predicted like any classifier."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import roc_auc_score
from sklearn.metrics.pairwise import rbf_kernel
from sklearn.svm import LinearSVC

from mole_jax.classifier.network import build_network
from mole_jax.classifier.scoring import scorer
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.inputs.normalize import Inputs
from mole_jax.models import transfer
from mole_jax.models.transfer import on_features
from mole_jax.placement import one_device
from mole_jax.training.svm import solve, train_svm
from mole_jax.training.views import sources_of

CONFIG = RunConfig(model="transfer", head="svm", normalize="weights", l2=1e-2, augment="dihedral", views=2)


@pytest.mark.parametrize("l2", [1e-3, 1e-1])
def test_the_plane_is_scikit_learn_s(l2):
    random = np.random.default_rng(0)
    labels = (random.random(300) < 0.3).astype(int)
    features = random.normal(size=(300, 12)).astype(np.float32) + 0.5 * labels[:, None].astype(np.float32)
    weights = np.where(labels == 1, 1.8, 0.7).astype(np.float32)
    signs = jnp.asarray(2 * labels - 1, jnp.float32)
    ours = jax.jit(solve, static_argnames="l2")(jnp.asarray(features), signs, jnp.asarray(weights), l2=l2)
    theirs = LinearSVC(C=1 / (2 * l2 * len(labels)), tol=1e-10, max_iter=100_000, dual=False)
    theirs.fit(features, labels, sample_weight=weights)
    np.testing.assert_allclose(ours.kernel, theirs.coef_[0], rtol=2e-3, atol=2e-5)
    np.testing.assert_allclose(ours.bias, theirs.intercept_[0], rtol=2e-3, atol=2e-5)
    assert float(ours.left) < 1e-4


def test_random_features_have_the_products_of_the_kernel():
    model = on_features("svm_rbf")
    x = jnp.asarray(np.random.default_rng(0).normal(size=(40, 16)), jnp.float32)
    head = model.init(jax.random.key(0), input_shape=(1, 16))["params"]["head"]
    features = transfer.fourier(x, head["fourier"]["kernel"], head["fourier"]["phase"])
    np.testing.assert_allclose(features @ features.T, rbf_kernel(x, gamma=1 / 16), atol=4 / transfer.FOURIER**0.5)


@pytest.mark.parametrize("head", ["svm", "svm_rbf"])
def test_it_is_solved_and_scores_a_photograph_as_its_split(head, dataset, tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(transfer, "FOURIER", 64)
    config = dataclasses.replace(CONFIG, head=head)
    run = train_svm(config, dataset, tmp_path / "run", pretrained=tiny)
    again = train_svm(config, dataset, tmp_path / "again", pretrained=tiny)
    jax.tree.map(np.testing.assert_array_equal, run._replace(timing={}), again._replace(timing={}))
    assert roc_auc_score(dataset.labels["train"], run.logits["train"]) > 0.6
    network = build_network(config, Inputs("torchvision"), tiny, stage="head")
    images = np.stack([dataset.splits["test"][i]["image"] for i in range(3)])
    np.testing.assert_array_equal(scorer(network, run.variables, views=2)(images), run.logits["test"][:3])
    assert "solved in " in (tmp_path / "run" / "train.log").read_text()


def test_the_whole_head_is_scikit_learn_s_on_the_stored_features(dataset, tiny, tmp_path):
    run = train_svm(CONFIG, dataset, tmp_path / "run", pretrained=tiny)
    network = build_network(CONFIG, Inputs("torchvision"), tiny, stage="head")
    train = sources_of(network, dataset, one_device(), views=8)["train"]
    positions = np.stack([train[i]["image"] for i in range(len(train))])
    rows = positions.reshape(-1, positions.shape[-1]).astype(np.float64)
    mean, deviation = rows.mean(axis=0), np.sqrt(rows.var(axis=0) + transfer.BN_EPSILON)
    theirs = LinearSVC(C=1 / (2 * CONFIG.l2 * len(rows)), class_weight="balanced", tol=1e-10, dual=False)
    theirs.fit((rows - mean) / deviation, np.repeat(dataset.labels["train"], 8))
    views = [theirs.decision_function((positions[:, which] - mean) / deviation) for which in range(CONFIG.views)]
    np.testing.assert_allclose(run.logits["train"], np.mean(views, axis=0), rtol=5e-3, atol=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"l2": 0.0}, "head='svm' needs --l2, the weight of its squared norm; give one such as --l2=1e-3"),
        (
            {"finetune_epochs": 1},
            "head='svm' is solved on stored features, which fine-tuning would change; give",
        ),
        (
            {"diagnosis_weight": 1.0},
            "head='svm' tells two classes apart, and diagnosis_weight=1 is for heads that are trained step by step; "
            "give --head=linear or --head=pooled",
        ),
        ({"feature_cache": "off"}, "head='svm' is solved on stored features: give --feature_cache=auto"),
        ({"augment": "pham"}, "augment='pham' changes images, and a head on stored features sees none"),
    ],
)
def test_what_cannot_be_is_refused(change, message):
    with pytest.raises(UserError) as error:
        dataclasses.replace(CONFIG, **change)
    assert str(error.value).startswith(message)
