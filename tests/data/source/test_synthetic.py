from collections import Counter

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mole_jax.data.prepare.protocols import PROTOCOLS
from mole_jax.data.records import Example
from mole_jax.data.source.synthetic import list_synthetic, load_synthetic


@pytest.mark.parametrize("examples", [2, 50, 600])
def test_classes_are_balanced_exactly(examples):
    records = list_synthetic(examples, 0).records
    assert Counter(record.label for record in records) == {0: examples // 2, 1: examples // 2}
    assert len({record.image_id for record in records}) == examples


def test_lesions_have_one_to_three_images_of_one_class_and_the_same_metadata():
    by_lesion = {}
    for record in list_synthetic(600, 0).records:
        by_lesion.setdefault(record.lesion_id, []).append(record)
    assert {len(members) for members in by_lesion.values()} == {1, 2, 3}
    for members in by_lesion.values():
        assert len({(r.label, r.dx, r.dx_type, r.age, r.sex, r.localization) for r in members}) == 1
        assert members[0].dx == ("nv", "mel")[members[0].label]
        assert 5 <= members[0].age <= 85


def test_an_image_depends_only_on_seed_and_id():
    records = list_synthetic(6, 0).records
    first = load_synthetic(0, records[3])
    assert first.image.shape == (224, 224, 3)
    assert load_synthetic(0, list_synthetic(20, 0).records[3]).sha256 == first.sha256
    assert load_synthetic(1, records[3]).sha256 != first.sha256
    assert len({load_synthetic(0, record).sha256 for record in records}) == 6, "no two images are the same"


@pytest.fixture(scope="module")
def drawn():
    records = list_synthetic(240, 0).records
    return records, np.stack([load_synthetic(0, record).image for record in records])


def test_neither_brightness_nor_a_linear_model_of_the_pixels_tells_the_classes_apart(drawn):
    records, images = drawn
    labels = np.array([record.label for record in records])
    small = [np.asarray(Image.fromarray(image).resize((32, 32), Image.Resampling.BOX)) for image in images]
    pixels = np.stack(small).reshape(len(records), -1) / 255
    examples = [Example.from_record(r, sha256=r.image_id, width=1, height=1, row=0) for r in records]
    train = np.array([split == "train" for _, split in PROTOCOLS["grouped"].assign(examples, 0)])
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=500)).fit(pixels[train], labels[train])
    assert roc_auc_score(labels[~train], model.decision_function(pixels[~train])) < 0.85
    assert 0.35 < roc_auc_score(labels, pixels.mean(axis=1)) < 0.65


def test_the_variety_of_colours_does_tell_the_classes_apart(drawn):
    records, images = drawn
    centres = images[:, 56:168, 56:168].astype(float)
    variety = (centres[..., 0] - centres[..., 2]).std(axis=(1, 2))
    assert roc_auc_score([record.label for record in records], variety) > 0.7
