"""Real ImageNet weights on two photographs, against what an independent implementation computed with them."""

from dataclasses import replace

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict

from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.match import flat_shapes
from mole_jax.backbones.resnet import ResNet
from mole_jax.inputs.normalize import Inputs, normalizer

BELL_COTE, DAISY = 442, 985


@pytest.fixture(scope="module")
def golden(test_data):
    with np.load(test_data / "weights" / "golden_resnet50.npz") as arrays:
        return dict(arrays)


@pytest.fixture(scope="module")
def pretrained(test_data):
    return load_pretrained(str(test_data / "weights" / "resnet50_v1.5_imagenet.safetensors"))


def run(variables, config, images, preprocessing):
    forward = jax.jit(
        lambda v, x: ResNet(config).apply(v, normalizer(Inputs(preprocessing))(x, jnp.ones(len(x), bool)), train=False)
    )
    return jax.device_get(forward(variables, images))


@pytest.fixture(scope="module")
def outputs(golden, pretrained):
    return run(pretrained.variables, pretrained.config, golden["images_u8"], pretrained.preprocessing)


def relative(result, expected):
    assert result.shape == expected.shape
    return np.abs(result - expected).max() / np.abs(expected).max()


def test_every_stage_agrees(golden, outputs):
    logits, named = outputs
    assert relative(named["stem"][:, ::7, ::7], golden["stem_nhwc"]) < 1e-4
    assert relative(named["layer1"][:, ::7, ::7], golden["layer1_nhwc"]) < 1e-4
    assert relative(named["features"], golden["features_nhwc"]) < 1e-4
    assert relative(named["pooled"], golden["pooled"]) < 1e-4
    assert relative(logits, golden["logits"]) < 1e-4
    assert logits.argmax(axis=1).tolist() == [BELL_COTE, DAISY]


def test_the_other_preprocessing_recognises_nothing(golden, pretrained):
    logits, _ = run(pretrained.variables, pretrained.config, golden["images_u8"], "keras")
    assert relative(logits, golden["logits"]) > 0.5
    assert BELL_COTE not in logits.argmax(axis=1)
    assert DAISY not in logits.argmax(axis=1)


def test_the_other_graph_gives_other_numbers(golden, pretrained):
    """The kernels fit the v1 graph, given biases of zero; only the position of the stride and an epsilon differ."""
    config = replace(pretrained.config, variant="v1")
    flat = flatten_dict(pretrained.variables, sep="/")
    given = {name: flat.get(name, np.zeros(leaf.shape, leaf.dtype)) for name, leaf in flat_shapes(config).items()}
    variables = unflatten_dict(given, sep="/")
    logits, _ = run(variables, config, golden["images_u8"], pretrained.preprocessing)
    assert relative(logits, golden["logits"]) > 0.1


def test_same_padding_gives_other_numbers(golden, pretrained):
    def pad_same(call, args, kwargs, context):
        if isinstance(context.module, nn.Conv):
            object.__setattr__(context.module, "padding", "SAME")
        return call(*args, **kwargs)

    with nn.intercept_methods(pad_same):
        logits, _ = run(pretrained.variables, pretrained.config, golden["images_u8"], pretrained.preprocessing)
    assert relative(logits, golden["logits"]) > 0.1
