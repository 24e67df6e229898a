import numpy as np
import pytest
from PIL import Image
from sklearn.metrics import roc_auc_score

from mole_jax.audit.file_facts import facts_of_file
from mole_jax.audit.shortcuts import _out_of_fold, file_facts_table, shortcut
from mole_jax.audit.traits import BORDER, border_features, sharpness
from tests.audit.conftest import turned


def clusters(n, *, seed=0):
    rng = np.random.default_rng(seed)
    label = np.repeat(rng.integers(0, 2, n // 2), 2)
    return rng, label, np.repeat(np.arange(n // 2), 2)


def test_noise_is_no_shortcut():
    rng, label, group = clusters(400)
    found = shortcut({"noise": rng.normal(size=400)}, label, group, each=True)
    assert not found["shortcut"]
    assert found["auroc"]["low"] < 0.5 < found["auroc"]["high"]


def test_a_lesions_own_number_is_no_shortcut_if_it_tells_nothing_of_others():
    """It would be one if images of a lesion lay on both sides of a fold."""
    rng, label, group = clusters(400, seed=1)
    fingerprint = rng.permutation(200)[group].astype(float)
    assert not shortcut({"fingerprint": fingerprint}, label, group, each=False)["shortcut"]


def test_the_auroc_is_that_of_scikit_learn():
    rng, label, group = clusters(300)
    column = 2 * label + rng.normal(size=300)
    found = shortcut({"leaning": column}, label, group, each=True)
    assert found["shortcut"]
    expected = roc_auc_score(label, _out_of_fold(column[:, None], label, group))
    assert found["auroc"]["value"] == pytest.approx(expected, abs=1e-12)
    assert found["alone"] == {"leaning": pytest.approx(expected, abs=1e-12)}


def test_too_few_lesions_have_a_reason():
    found = shortcut({"x": np.arange(8.0)}, np.array([0, 1] * 4), np.arange(8), each=True)
    assert found["auroc"]["value"] is None
    assert found["auroc"]["reason"] == "a class has only 4 lesions, too few for 5 folds"
    assert shortcut({}, np.array([0, 1] * 9), np.arange(18), each=True)["auroc"]["reason"].startswith("the same for")


def test_facts_become_numbers():
    table = file_facts_table([{"a": "x", "b": 3, "c": 1.0}, {"a": "y", "b": 3}, {"a": "x", "b": 3, "c": 2.0}])
    assert sorted(table) == ["a", "c"]
    np.testing.assert_array_equal(table["a"], [0, 1, 0])
    np.testing.assert_array_equal(table["c"], [1, np.nan, 2])


def test_facts_of_a_file(tmp_path, drawn):
    path = tmp_path / "AUG_0_123.jpeg"
    exif = Image.Exif()
    exif[0x0131] = "a camera"
    Image.fromarray(drawn[0]).save(path, quality=70, exif=exif)
    other = tmp_path / "ISIC_0024306.jpg"
    Image.fromarray(drawn[0]).save(other, quality=95)
    facts, others = facts_of_file(path), facts_of_file(other)
    assert facts["extension"] == ".jpeg"
    assert facts["name pattern"] == "AUG_9_9"
    assert facts["number in the name"] == 123
    assert (facts["width"], facts["height"], facts["format"]) == (224, 224, "JPEG")
    assert facts["bytes"] == path.stat().st_size
    assert facts["software"] == "a camera"
    assert facts["JPEG tables"] != others["JPEG tables"]
    assert "Melanoma" not in str(facts_of_file(tmp_path / "Melanoma" / "1.png")), "folders may spell the class"


def test_the_border_sees_nothing_but_the_border(drawn):
    image = drawn[0].copy()
    image[BORDER:-BORDER, BORDER:-BORDER] = 0
    np.testing.assert_array_equal(border_features(image), border_features(drawn[0]))


def test_streaks_are_rough_along_and_smooth_across():
    noise = np.random.default_rng(0).integers(0, 256, (224, 224, 3), np.uint8)
    noise[:30] = noise[30]  # the nearest fill of a picture that was shifted down
    features = border_features(noise).reshape(4, 4, 6)
    assert (features[0, :, 5] == 0).all()
    assert (features[0, :, 4] > 10).all()
    assert (features[2, :, 5] > 10).all()


def test_a_copy_is_less_sharp(drawn):
    for image in drawn[:4]:
        assert sharpness(turned(image, rotation=25)) < sharpness(image)
