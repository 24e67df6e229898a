"""Files over the same images, however each spells its ids."""

import dataclasses

import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.comparison import compare
from mole_jax.evaluation.leakage import shared_groups
from mole_jax.evaluation.same_images import align
from mole_jax.vocabulary.identity import pair_ids


def respelled(p, spell):
    order = np.random.default_rng(0).permutation(p.n)
    return dataclasses.replace(
        p.take(order), image_id=np.array([spell(str(i)) for i in p.image_id[order]]), lesion_id=None
    )


@pytest.mark.parametrize(
    ("spell", "how"),
    [
        (lambda name: f"{name}.jpg", "without ending and case"),
        (lambda name: name.lower(), "without ending and case"),
        (lambda name: f"images\\{name}.PNG", "without folder, ending and case"),
        (lambda name: f"ISIC_{int(name.removeprefix('ISIC_'))}", "without leading zeros"),
    ],
)
def test_ids_are_matched_and_groups_taken_from_the_file_that_has_them(single, spell, how):
    found, notes = align({"a": respelled(single, spell), "b": single})
    np.testing.assert_array_equal(found["a"].image_id, found["b"].image_id)
    np.testing.assert_array_equal(found["a"].score, found["b"].score)
    np.testing.assert_array_equal(found["a"].group, found["b"].group)
    assert any(how in note for note in notes)
    assert "lesion_id is that of b for all" in notes
    assert compare({"a": respelled(single, spell), "b": single}, resamples=20)["data"]["grouped_by"] == "lesion_id"


def test_age_and_sex_are_those_of_the_file_that_has_them(single):
    sex = np.array(["male", "female"] * 200)
    found, _ = align({"a": respelled(single, str.lower), "b": dataclasses.replace(single, metadata={"sex": sex})})
    assert dict(zip(found["a"].image_id, found["a"].metadata["sex"], strict=True)) == {
        str(name).lower(): of for name, of in zip(single.image_id, sex, strict=True)
    }


def test_what_fits_two_ids_fits_none():
    found, _ = pair_ids(["a.jpg", "b"], ["a", "A", "b.png"])
    assert found == {"b": "b.png"}


def test_names_in_other_folders_are_other_images():
    assert pair_ids(["train/1.jpg"], ["test/1.jpg"])[0] == {}
    assert pair_ids(["x/1.jpg"], ["X/1.png"])[0] == {"x/1.jpg": "X/1.png"}
    assert pair_ids(["x/1.jpg"], ["1"])[0] == {"x/1.jpg": "1"}


def test_other_images_are_refused_with_examples_of_both(single):
    few = dataclasses.replace(respelled(single, lambda name: f"{name}.jpg"), source="b.csv")
    with pytest.raises(UserError) as caught:
        align({"a": dataclasses.replace(single, source="a.csv"), "b": few.take(np.arange(398))})
    assert str(caught.value).startswith("a.csv has 2 images that b.csv lacks, first ISIC_")
    assert "(b.csv has images such as ISIC_" in str(caught.value)


def test_other_spellings_do_not_hide_leakage(single):
    (found,) = shared_groups({"validation": respelled(single, lambda name: f"{name}.JPG"), "test": single})
    assert (found["images"], found["affected_images"]) == (400, 400)
    numbered = dataclasses.replace(single, lesion_id=None, numbered=True)
    assert shared_groups({"validation": numbered, "test": numbered}) == []
    a, b = (respelled(single, lambda name, folder=folder: f"{folder}/{name}") for folder in ("a", "b"))
    assert shared_groups({"validation": a, "test": b}) == []
