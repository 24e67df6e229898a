"""A tiny ResNet's weights, and writers of them in each foreign layout that share no code with the readers."""

import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import jax
import numpy as np
import pytest
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors.numpy import save_file

from mole_jax.backbones.match import flat_shapes
from mole_jax.backbones.resnet import ResNetConfig

os.environ["KERAS_BACKEND"] = "jax"  # before any test imports Keras

# The names as the libraries write them: torchvision (and timm), Hugging Face, Keras, ours.
NAMES = [
    line.split()
    for line in """
conv1                  resnet.embedder.embedder.convolution                        conv1_conv           conv1
bn1                    resnet.embedder.embedder.normalization                      conv1_bn             bn1
layer1.0.conv1         resnet.encoder.stages.0.layers.0.layer.0.convolution        conv2_block1_1_conv  layer1_0/conv1
layer1.0.bn1           resnet.encoder.stages.0.layers.0.layer.0.normalization      conv2_block1_1_bn    layer1_0/bn1
layer1.0.conv2         resnet.encoder.stages.0.layers.0.layer.1.convolution        conv2_block1_2_conv  layer1_0/conv2
layer1.0.bn2           resnet.encoder.stages.0.layers.0.layer.1.normalization      conv2_block1_2_bn    layer1_0/bn2
layer1.0.conv3         resnet.encoder.stages.0.layers.0.layer.2.convolution        conv2_block1_3_conv  layer1_0/conv3
layer1.0.bn3           resnet.encoder.stages.0.layers.0.layer.2.normalization      conv2_block1_3_bn    layer1_0/bn3
layer1.0.downsample.0  resnet.encoder.stages.0.layers.0.shortcut.convolution       conv2_block1_0_conv  layer1_0/downsample_conv
layer1.0.downsample.1  resnet.encoder.stages.0.layers.0.shortcut.normalization     conv2_block1_0_bn    layer1_0/downsample_bn
layer1.1.conv1         resnet.encoder.stages.0.layers.1.layer.0.convolution        conv2_block2_1_conv  layer1_1/conv1
layer1.1.bn1           resnet.encoder.stages.0.layers.1.layer.0.normalization      conv2_block2_1_bn    layer1_1/bn1
layer1.1.conv2         resnet.encoder.stages.0.layers.1.layer.1.convolution        conv2_block2_2_conv  layer1_1/conv2
layer1.1.bn2           resnet.encoder.stages.0.layers.1.layer.1.normalization      conv2_block2_2_bn    layer1_1/bn2
layer1.1.conv3         resnet.encoder.stages.0.layers.1.layer.2.convolution        conv2_block2_3_conv  layer1_1/conv3
layer1.1.bn3           resnet.encoder.stages.0.layers.1.layer.2.normalization      conv2_block2_3_bn    layer1_1/bn3
layer2.0.conv1         resnet.encoder.stages.1.layers.0.layer.0.convolution        conv3_block1_1_conv  layer2_0/conv1
layer2.0.bn1           resnet.encoder.stages.1.layers.0.layer.0.normalization      conv3_block1_1_bn    layer2_0/bn1
layer2.0.conv2         resnet.encoder.stages.1.layers.0.layer.1.convolution        conv3_block1_2_conv  layer2_0/conv2
layer2.0.bn2           resnet.encoder.stages.1.layers.0.layer.1.normalization      conv3_block1_2_bn    layer2_0/bn2
layer2.0.conv3         resnet.encoder.stages.1.layers.0.layer.2.convolution        conv3_block1_3_conv  layer2_0/conv3
layer2.0.bn3           resnet.encoder.stages.1.layers.0.layer.2.normalization      conv3_block1_3_bn    layer2_0/bn3
layer2.0.downsample.0  resnet.encoder.stages.1.layers.0.shortcut.convolution       conv3_block1_0_conv  layer2_0/downsample_conv
layer2.0.downsample.1  resnet.encoder.stages.1.layers.0.shortcut.normalization     conv3_block1_0_bn    layer2_0/downsample_bn
fc                     classifier.1                                                probs                fc
""".strip().splitlines()  # noqa: E501
]
FIELDS = {  # ours -> (torch's, Keras')
    "params/kernel": ("weight", "kernel"),
    "params/bias": ("bias", "bias"),
    "params/scale": ("weight", "gamma"),
    "batch_stats/mean": ("running_mean", "moving_mean"),
    "batch_stats/var": ("running_var", "moving_variance"),
}
KERAS_ORDER = ("kernel", "gamma", "bias", "beta", "moving_mean", "moving_variance")
Flat = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def lenient():
    """Keras mixes types and ranks, which the tests' strictness forbids."""
    with jax.numpy_dtype_promotion("standard"), jax.numpy_rank_promotion("allow"):
        yield


def with_random_numbers(application, **settings):
    """A network of Keras' own with random weights, and biases and batch-norm statistics that matter: at their start
    they would hide errors.
    """
    import keras

    keras.utils.set_random_seed(0)
    model = application(weights=None, classifier_activation=None, **settings)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            gamma, beta, mean = rng.uniform(0.5, 1, size), rng.normal(0, 0.2, size), rng.normal(0, 0.2, size)
            layer.set_weights([gamma, beta, mean, rng.uniform(0.5, 2, size)])
        elif len(layer.weights) == 2:
            kernel, bias = layer.get_weights()
            layer.set_weights([kernel, rng.normal(0, 0.1, bias.shape)])
    return model


@pytest.fixture
def tiny() -> ResNetConfig:
    """Two stages, so that every kind of name and both strides occur."""
    return ResNetConfig(stage_sizes=(2, 1), width=4)


@pytest.fixture
def weights(tiny) -> Callable[..., dict]:
    """(variant) -> Flax variables of the tiny network with a classifier of 5, and batch-norm statistics that matter."""

    def build(variant: str) -> dict:
        rng = np.random.default_rng(0)
        shapes = flat_shapes(replace(tiny, variant=variant, classes=5))
        values = {name: rng.normal(0, 0.5, leaf.shape).astype(np.float32) for name, leaf in sorted(shapes.items())}
        values |= {k: rng.uniform(0.5, 2, v.shape).astype(np.float32) for k, v in values.items() if k.endswith("/var")}
        return unflatten_dict(values, sep="/")

    return build


def state_dict(variables: dict, column: int) -> Flat:
    """The variables as a torch state dict: column 0 of NAMES is torchvision's, 1 Hugging Face's."""
    ours_to_torch = {row[3]: row[column] for row in NAMES}
    state = {}
    for name, array in flatten_dict(variables, sep="/").items():
        collection, _, rest = name.partition("/")
        module, _, leaf = rest.rpartition("/")
        array = np.transpose(array, (3, 2, 0, 1)) if array.ndim == 4 else array.T
        state[f"{ours_to_torch[module]}.{FIELDS[f'{collection}/{leaf}'][0]}"] = np.ascontiguousarray(array)
        if leaf == "var":
            state[f"{ours_to_torch[module]}.num_batches_tracked"] = np.array(7, np.int64)
    return state


@pytest.fixture
def write_torchvision() -> Callable[[Path, dict], Path]:
    """(path, variables) -> path of a safetensors file under torchvision's names."""

    def write(path: Path, variables: dict) -> Path:
        save_file(state_dict(variables, 0), path, {"format": "pt"})
        return path

    return write


@pytest.fixture
def write_hugging_face() -> Callable[[Path, dict], Path]:
    """(path, variables) -> path of a safetensors file under Hugging Face's names."""

    def write(path: Path, variables: dict) -> Path:
        save_file(state_dict(variables, 1), path)
        return path

    return write


@pytest.fixture
def write_keras() -> Callable[[Path, dict], Path]:
    """(path, variables) -> path of an .h5 in the layout of TensorFlow 1's Keras, names ending in ":0" as there."""

    def write(path: Path, variables: dict) -> Path:
        flat = flatten_dict(variables, sep="/")
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = np.array([b"input_1", *(row[2].encode() for row in NAMES)])
            file.create_group("input_1").attrs["weight_names"] = np.zeros(0, "S1")
            for _, _, layer, module in NAMES:
                arrays = {}
                for field, (_, keras_name) in FIELDS.items():
                    name = f"{field.partition('/')[0]}/{module}/{field.partition('/')[2]}"
                    keras_name = "beta" if keras_name == "bias" and layer.endswith("_bn") else keras_name
                    if name in flat:
                        arrays[keras_name] = flat[name]
                group = file.create_group(layer)
                order = [key for key in KERAS_ORDER if key in arrays]
                group.attrs["weight_names"] = np.array([f"{layer}/{key}:0".encode() for key in order])
                for key in order:
                    group[f"{layer}/{key}:0"] = arrays[key]
        return path

    return write
