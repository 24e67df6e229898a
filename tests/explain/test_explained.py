"""Every kind of run becomes one function of its images, which scores them as the run does."""

import jax
import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.explain.explained import PLAIN, explain_classifier
from mole_jax.explain.methods import METHODS, chosen, offered
from mole_jax.explain.modules import map_layers, parameter_layers
from mole_jax.models import MODELS

KINDS = [
    ({"model": "logistic"}, "images"),
    ({"model": "cnn"}, "images"),
    *(({"model": "transfer", "head": head}, "head") for head in ("paper", "svm_rbf")),
    ({"model": "transfer", "head": "svm", "levels": "all"}, "head"),
    ({"model": "transfer", "head": "pooled"}, "images"),
]


@pytest.mark.parametrize(
    ("options", "stage"), KINDS, ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else value
)
def test_it_scores_images_as_the_run_does(make_classifier, drawn, options, stage):
    classifier = make_classifier(stage=stage, **options)
    images = np.stack(drawn[:2])
    explained = explain_classifier(classifier)
    # Maps are stored in half precision; nothing else differs but the order of sums.
    tolerance = {"rtol": 2e-2} if options.get("head") == "paper" else {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(explained.logits(explained.fed(images)), classifier.logits(images), **tolerance)


def test_grad_cam_reads_the_last_map_of_the_backbone_or_the_named_one(make_classifier):
    head = make_classifier(model="transfer", head="paper", stage="head")
    assert explain_classifier(head).layer == "backbone/layer3_0"
    assert explain_classifier(head, layer="backbone/conv1").layer == "backbone/conv1"
    with pytest.raises(
        UserError, match=r"--layer=conv9: the network of the run run has no such map; its maps are .*backbone/layer3_0"
    ):
        explain_classifier(head, layer="conv9")
    assert explain_classifier(make_classifier(model="cnn")).layer == "bn4"


def test_a_network_without_maps_is_offered_no_grad_cam(make_classifier):
    explained = explain_classifier(make_classifier(model="logistic"))
    assert [name for name in METHODS if name not in offered(explained)] == ["cam", "grad_cam", "grad_cam_plus_plus"]
    with pytest.raises(UserError, match=r"--methods=grad_cam reads a feature map, and this network has none"):
        chosen(explained, ["gradient", "grad_cam"])
    with pytest.raises(UserError, match=r"--methods=lime: there is no such method; give some of gradient, "):
        chosen(explained, ["lime"])
    pooled = explain_classifier(make_classifier(model="transfer", head="pooled"))
    assert [name for name in METHODS if name not in offered(pooled)] == ["cam"]
    with pytest.raises(
        UserError, match=r"--methods=cam needs a score that is linear in the average of the last feature map, as with -"
    ):
        chosen(pooled, ["cam"])
    all_levels = explain_classifier(make_classifier(model="transfer", head="linear", levels="all", stage="head"))
    other_map = explain_classifier(make_classifier(model="transfer", head="linear"), layer="backbone/layer2_0")
    diagnoses = explain_classifier(make_classifier(model="transfer", head="linear", diagnosis_weight=0.3))
    assert not any(each.linear for each in (all_levels, other_map, diagnoses))
    assert chosen(explained, ["occlusion", "gradient"]) == ["gradient", "occlusion"]
    with pytest.raises(UserError, match=r"--layer=fc1: .* it has no feature map at all"):
        explain_classifier(make_classifier(model="logistic"), layer="fc1")


@pytest.mark.parametrize("name", PLAIN)
def test_the_plain_form_has_the_variables_of_the_fused_one(name):
    config = RunConfig(model=name)
    plain, fused = (
        jax.eval_shape(lambda m=model: m.init(jax.random.key(0), input_shape=(1, 224, 224, 3)))
        for model in (PLAIN[name](config), MODELS[name](config))
    )
    assert jax.tree.map(lambda leaf: leaf.shape, plain) == jax.tree.map(lambda leaf: leaf.shape, fused)


def test_layers_come_from_the_input_on():
    model = MODELS["mlp"](RunConfig(model="mlp"))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=(1, 224, 224, 3)))
    assert parameter_layers(model, shapes) == [f"head/fc{i}" for i in range(1, 7)]
    assert map_layers(model, shapes) == []


def test_a_run_that_reads_its_batch_is_refused(make_classifier):
    with pytest.raises(
        UserError, match=r"normalize='batch': .* no map of one image explains it; train with --normalize=image"
    ):
        explain_classifier(make_classifier(model="logistic", normalize="batch"))


def test_maps_of_another_network_than_the_one_that_scored_are_refused(make_classifier, drawn):
    explained = explain_classifier(make_classifier(model="logistic"))
    fed = explained.fed(np.stack(drawn[:3]))
    logits = explained.logits(fed)
    explained.refuse_other_scores(fed, logits)
    turned = np.mean([explained.logits(each) for each in (fed, fed[:, :, ::-1])], axis=0)
    explain_classifier(make_classifier(model="logistic", views=2)).refuse_other_scores(fed, turned)
    with pytest.raises(
        UserError, match=r"the run gives an image the logit .* so that maps would explain something else"
    ):
        explained.refuse_other_scores(fed, logits + 1)
