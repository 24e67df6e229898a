"""One small prepared dataset of drawn lesions for all training tests."""

import pytest

from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.resnet import ResNetConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.prepare.prepare import prepare


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare("synthetic", examples=50, data_dir=folder, workers=1)
    return folder


@pytest.fixture(scope="session")
def dataset(data_dir):
    return load_dataset(data_dir, "synthetic")


@pytest.fixture(scope="session")
def tiny():
    """A ResNet with three blocks and random weights, which runs in milliseconds."""
    return load_pretrained("random", architecture=ResNetConfig(stage_sizes=(2, 1), width=4))
