import numpy as np

from mole_jax.evaluation.leakage import shared_groups
from mole_jax.evaluation.predictions import Predictions


def split(ids, lesions=None):
    n = len(ids)
    return Predictions(
        np.array(ids), np.zeros(n, dtype=int), np.full(n, 0.5), lesion_id=None if lesions is None else np.array(lesions)
    )


def test_clean_splits_share_nothing():
    assert shared_groups({"validation": split(["a", "b"], ["A", "B"]), "test": split(["c", "d"], ["C", "C"])}) == []


def test_a_lesion_in_two_splits_is_found_with_its_images():
    splits = {
        "train": split(["a"], ["A"]),
        "validation": split(["b"], ["B"]),
        "test": split(["c", "d", "e"], ["A", "A", "E"]),
    }
    assert shared_groups(splits) == [
        {"splits": ["train", "test"], "groups": 1, "images": 0, "affected_images": 2, "examples": ["A"]}
    ]


def test_the_same_image_is_found_even_where_lesions_are_unknown():
    found = shared_groups({"validation": split(["a", "b"]), "test": split(["b", "c"], ["L", "M"])})
    assert found == [
        {"splits": ["validation", "test"], "groups": 0, "images": 1, "affected_images": 1, "examples": ["b"]}
    ]


def test_five_examples_are_named_and_all_are_counted():
    names = [f"L{i}" for i in range(7)]
    images = [f"i{i}" for i in range(7)]
    (found,) = shared_groups({"validation": split(images, names), "test": split([f"t{i}" for i in images], names)})
    assert (found["groups"], found["examples"]) == (7, names[:5])
    (found,) = shared_groups({"validation": split(images), "test": split(images, [f"other{i}" for i in range(7)])})
    assert (found["images"], found["affected_images"], found["examples"]) == (7, 7, images[:5])
