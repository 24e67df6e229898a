"""Strict numerics for every test, and the one place that knows where the real images and weights are."""

import os
import tempfile
from collections import Counter
from pathlib import Path

from mole_jax import xla

# The same programs are compiled again and again: once is enough for all tests, workers and commands of a machine.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(Path(tempfile.gettempdir()) / f"mole_jax-tests-{os.getuid()}")
xla.configure()  # as the commands do, and before JAX is imported: so convolutions here are those that people run

# ruff: noqa: E402
import jax
import pytest
from absl import flags
from jaxtyping import install_import_hook

# Shapes and types are checked at run time in every package that handles arrays, in tests only; config.py checks
# itself, with messages for people. (Here and not by jaxtyping's pytest option, which takes one package only beside a
# configured checker.)
ROOMS = (
    *(
        "artefacts",
        "audit",
        "backbones",
        "classifier",
        "data",
        "evaluation",
        "executors",
        "explain",
        "files",
        "inputs",
        "looks",
        "models",
    ),
    *("report", "runs", "studies", "sweeps", "training", "vocabulary"),
)
PACKAGES = [f"mole_jax.{room}" for room in ROOMS]
install_import_hook(PACKAGES, "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))")

os.environ["KERAS_BACKEND"] = "jax"  # before any test imports Keras
jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Grain keeps its options in absl flags, which raise when read before parsing.
flags.FLAGS.mark_as_parsed()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with slow tests come first, so that no worker is left with one of them at the end."""
    slow = Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with HAM10000, ImageNet weights and reference predictions; WORKSPACE.md says what it
    holds.
    """
    root = Path(os.environ.get("MOLE_JAX_TEST_DATA", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        pytest.skip(f"no test data at {root}; set MOLE_JAX_TEST_DATA to the folder that holds data/ and weights/")
    return root


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    from mole_jax.data.prepare.prepare import prepare

    folder = tmp_path_factory.mktemp("data")
    prepare("synthetic", examples=50, data_dir=folder, workers=1)
    return folder


@pytest.fixture(scope="session")
def dataset(data_dir):
    from mole_jax.data.dataset import load_dataset

    return load_dataset(data_dir, "synthetic")


@pytest.fixture(scope="session")
def tiny():
    """A ResNet with three blocks and random weights, which runs in milliseconds."""
    from mole_jax.backbones.load import load_pretrained
    from mole_jax.backbones.resnet import ResNetConfig

    return load_pretrained("random", architecture=ResNetConfig(stage_sizes=(2, 1), width=4))


@pytest.fixture(scope="session")
def drawn():
    """24 different lesions, uint8 [224, 224, 3] each."""
    import numpy as np

    from mole_jax.data.source.lesions import draw_lesion, photograph

    return [
        photograph(draw_lesion(0.3 * (i % 5), np.random.default_rng([i, 0])), np.random.default_rng([i, 1]))
        for i in range(24)
    ]
