"""A small network whose logit and gradient are also worked out without JAX, and classifiers of every kind."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.signal import convolve2d, correlate2d

from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.resnet import ResNetConfig
from mole_jax.classifier.classifier import CLASS_NAMES, Classifier, Origin
from mole_jax.classifier.decision import Decision
from mole_jax.classifier.network import build_network
from mole_jax.config import RunConfig
from mole_jax.evaluation.operating_points import OperatingPoint
from mole_jax.explain.explained import Explained
from mole_jax.inputs.normalize import Inputs, normalizer
from mole_jax.models.base import from_linen

SIDE, CHANNELS = 64, 4


class Relu(nn.Module):
    def __call__(self, x):
        return nn.relu(x)


class Small(nn.Module):
    """Convolution, ReLU, the mean over the map, a linear layer."""

    @nn.compact
    def __call__(self, images, *, train):
        del train
        x = Relu(name="map")(nn.Conv(CHANNELS, (3, 3), padding="VALID", name="conv")(images))
        return nn.Dense(1, name="fc")(x.mean(axis=(1, 2)))


class ByHand:
    """The same in NumPy and SciPy."""

    def __init__(self, variables):
        params = jax.tree.map(lambda leaf: np.asarray(leaf, np.float64), variables["params"])
        self.kernel, self.bias = params["conv"]["kernel"], params["conv"]["bias"]
        self.weights, self.offset = params["fc"]["kernel"][:, 0], params["fc"]["bias"][0]

    def map(self, image):
        convolved = [
            sum(correlate2d(image[..., c], self.kernel[..., c, k], "valid") for c in range(3)) + self.bias[k]
            for k in range(CHANNELS)
        ]
        return np.maximum(np.stack(convolved, axis=-1), 0)

    def logit(self, image):
        return self.map(image).mean(axis=(0, 1)) @ self.weights + self.offset

    def gradient(self, image):
        active = (self.map(image) > 0) * self.weights / (SIDE - 2) ** 2
        return np.stack(
            [
                sum(convolve2d(active[..., k], self.kernel[..., c, k], "full") for k in range(CHANNELS))
                for c in range(3)
            ],
            axis=-1,
        )


@pytest.fixture(scope="session")
def small():
    """(the network as methods see it, the same by hand, five images as it is fed)."""
    model = from_linen(Small())
    variables = model.init(jax.random.key(1), input_shape=(1, SIDE, SIDE, 3))
    random = np.random.default_rng(0)
    variables["params"]["conv"]["bias"] = jnp.asarray(random.normal(0, 0.2, CHANNELS), jnp.float32)
    images = random.normal(0, 1, (5, SIDE, SIDE, 3)).astype(np.float32)
    return Explained(model, variables, normalizer(Inputs("image")), "map"), ByHand(variables), images


POINT = OperatingPoint("sensitivity_0.95", "highest threshold with sensitivity >= 0.95", "validation", 0.5)


@pytest.fixture(scope="session")
def narrow():
    """A ResNet of three stages with so few channels that even the paper's head on it is small."""
    return load_pretrained("random", architecture=ResNetConfig(stage_sizes=(1, 1, 1), width=1))


@pytest.fixture(scope="session")
def make_classifier(narrow):
    """make_classifier(**options of a run): an untrained classifier of that kind, on `narrow` for transfer."""

    def make(*, stage="images", **options):
        transfer = options.get("model") == "transfer"
        config = RunConfig(**{"normalize": "weights" if transfer else "image", "l2": 1e-3, **options})
        inputs = Inputs("torchvision" if transfer else config.normalize)
        backbone = narrow if transfer else None
        network = build_network(config, inputs, backbone, stage=stage)
        variables = jax.device_get(network.model.init(jax.random.key(3), input_shape=(1, *network.shape)))
        random = np.random.default_rng(4)

        def moved(leaf):  # so that biases, statistics and a kernel of zeros count too; variances stay above zero
            return np.asarray(leaf + random.uniform(0, 0.03, leaf.shape), np.float32)

        variables = jax.tree.map(moved, variables)
        return Classifier(
            config=config,
            variables=variables,
            stage=stage,
            backbone=backbone,
            inputs=inputs,
            decision=Decision((POINT,), (1.0, 0.0), 1.0, "", 0.5, 0.1),
            origin=Origin("run", "data", "a", "ham10000", "grouped", False, "", 1),
            class_names=CLASS_NAMES,
        )

    return make
