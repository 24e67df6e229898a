"""Made-up predictions for the tests of evaluation."""

import numpy as np
import pytest

from mole_jax.evaluation.predictions import Predictions


def make_predictions(
    n=400, seed=0, *, images_per_lesion=1, digits=None, prevalence=0.3, shift=1.5, prefix="ISIC", **fields
):
    """Scores of overlapping classes, with lesions of `images_per_lesion` images, and ties when rounded to `digits`."""
    rng = np.random.default_rng(seed)
    lesions = -(-n // images_per_lesion)
    label = (rng.random(lesions) < prevalence).astype(np.int64)
    effect = rng.normal(size=lesions) + shift * label
    lesion = np.repeat(np.arange(lesions), images_per_lesion)[:n]
    label, logit = label[lesion], effect[lesion] + rng.normal(size=n) - 2.0
    score = 1 / (1 + np.exp(-logit))
    if digits is not None:
        score = score.round(digits)
    return Predictions(
        image_id=np.array([f"{prefix}_{i:07d}" for i in range(n)]),
        label=label,
        score=score,
        lesion_id=np.array([f"{prefix}_LESION_{i:07d}" for i in lesion]),
        **fields,
    )


@pytest.fixture
def make():
    """The function that makes predictions."""
    return make_predictions


@pytest.fixture
def single():
    """400 images, one of each lesion."""
    return make_predictions()


@pytest.fixture
def clustered():
    """600 images of 200 lesions, with ties."""
    return make_predictions(600, seed=1, images_per_lesion=3, digits=2)
