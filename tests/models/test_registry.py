"""Every registered model: its number of parameters and the shape and type of its output."""

import typing

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.weights import Pretrained, Provenance
from mole_jax.classifier.network import build_network
from mole_jax.config import RunConfig
from mole_jax.inputs.normalize import Inputs
from mole_jax.models import MODELS
from mole_jax.studies.recipes import RECIPES

# Trainable parameters: the paper's own count for the MLP, hand-worked for the others (the convolutions' and dense
# layers' weights and biases, batch norm's scale and bias).
PARAMETERS = {
    "logistic": 224 * 224 * 3 + 1,
    "mlp": 154_421_657,
    "cnn": 884_929,
    "cnn_released": 3_584 + 256 + 147_584 + 256 + 9_437_696 + 16_416 + 33,
    # Images of 224 less 4, halved, less 4, halved: 53 * 53 * 50 inputs to 100;50;1.
    "cnn_nasr": 76 * 20 + 501 * 50 + (53 * 53 * 50 + 1) * 100 + 101 * 50 + 51,
    # Batch norm on 2,048 channels; 7 * 7 * 2048 = 100,352 inputs to 4096;1024;256;32;1. Nothing of the backbone.
    "transfer": 2 * 2048 + 100_353 * 4096 + 4097 * 1024 + 1025 * 256 + 257 * 32 + 33,
}


def test_every_model_has_a_row_a_recipe_and_a_choice():
    choices = set(typing.get_args(typing.get_type_hints(RunConfig)["model"]))
    assert {*MODELS, "transfer"} == set(PARAMETERS) == set(RECIPES["paper"]) == choices


def model_of(name, **options):
    config = RunConfig(model=name, **options)
    if name != "transfer":
        return MODELS[name](config)
    backbone = Pretrained({}, BACKBONES["resnet50"], "torchvision", Provenance("", "", "none"))
    return build_network(config, Inputs("torchvision"), backbone, stage="images").model


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_count(name):
    model = model_of(name)
    variables = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=(1, 224, 224, 3)))
    mask = jax.tree.leaves(model.trainable(variables["params"]))
    leaves = jax.tree.leaves(variables["params"])
    assert (
        sum(int(np.prod(leaf.shape)) for leaf, trains in zip(leaves, mask, strict=True) if trains) == PARAMETERS[name]
    )


@pytest.mark.parametrize("name", PARAMETERS)
def test_output_is_one_float32_logit_an_image(name):
    model = model_of(name, compute_dtype="bfloat16")

    def logits(train):
        variables = model.init(jax.random.key(0), input_shape=(1, 224, 224, 3))
        return model.apply(variables, jnp.zeros((2, 224, 224, 3)), train=train, key=jax.random.key(1))

    for train in (False, True):
        output, stats = jax.eval_shape(lambda train=train: logits(train))
        assert output.shape == (2,)
        assert output.dtype == jnp.float32
        assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(stats))
