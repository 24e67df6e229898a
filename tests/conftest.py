"""Strict numerics for every test, and the one place that knows where the real images and weights are."""

import os
from pathlib import Path

import jax
import pytest
from absl import flags

jax.config.update("jax_platforms", "cpu")
jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
# Grain keeps its options in absl flags, which raise when read before parsing.
flags.FLAGS.mark_as_parsed()


@pytest.fixture(scope="session")
def test_data() -> Path:
    """The folder with HAM10000, ImageNet weights and reference predictions; the README's section on data says what it holds."""
    root = Path(os.environ.get("MOLE_JAX_TEST_DATA", Path(__file__).parents[2] / "shared"))
    if not (root / "data").is_dir():
        pytest.skip(f"no test data at {root}; set MOLE_JAX_TEST_DATA to the folder that holds data/ and weights/")
    return root
