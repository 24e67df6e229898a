"""Images of one lesion under no common id are kept together by their looks."""

from collections import defaultdict

import numpy as np
import pytest
from PIL import Image

from mole_jax.data.manifest import read_manifest
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.source.lesions import draw_lesion, photograph
from mole_jax.errors import UserError

LESIONS = 24


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    """24 drawn lesions in class folders; of every other one a second file, turned and encoded anew, and no table."""
    root = tmp_path_factory.mktemp("looks") / "source"
    for i in range(LESIONS):
        pixels = photograph(draw_lesion(0.3 * (i % 5), np.random.default_rng([i, 0])), np.random.default_rng([i, 1]))
        folder = root / ("NotMelanoma", "Melanoma")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(pixels)
        image.save(folder / f"a{i:02d}.png")
        if i % 4 < 2:
            image.rotate(90 * (1 + i % 3)).save(folder / f"z{i:02d}.jpg", quality=90)
    return root


def lesions(summary):
    found = defaultdict(set)
    for row in read_manifest(summary.directory):
        found[row.lesion_id].add((row.image_id, row.split))
    return found


def test_without_lesions_or_patients_images_of_one_lesion_are_kept_together(source, tmp_path):
    summary = prepare("own", source, data_dir=tmp_path, workers=1)
    assert (summary.facts.by_looks, summary.facts.joined_by_looks) == (True, 24)
    found = lesions(summary)
    assert len(found) == LESIONS
    for lesion, images in found.items():
        assert {name[1:] for name, _ in images} == {lesion[1:]}, "and no others"
        assert len({split for _, split in images}) == 1
    again = prepare("own", source, data_dir=tmp_path, workers=2)
    assert again.already_prepared


def test_it_can_be_turned_off_and_what_was_made_so_is_not_taken_for_the_other(source, tmp_path):
    summary = prepare("own", source, data_dir=tmp_path, workers=1, group_by_looks="off")
    assert (summary.facts.by_looks, summary.facts.joined_by_looks) == (False, 0)
    assert len(lesions(summary)) == 36
    with pytest.raises(UserError, match=r"was prepared without a search for lesions by their looks .*; give --overwri"):
        prepare("own", source, data_dir=tmp_path, workers=1)


def test_where_the_source_names_lesions_they_are_believed_unless_asked(source, tmp_path):
    names = sorted(path.stem for path in source.rglob("*.*"))
    table = "".join(f"{name},{'L0' if name in ('a02', 'a03') else name}\n" for name in names)
    copy = tmp_path / "copy"
    for path in source.rglob("*.*"):
        target = copy / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    (copy / "lesions.csv").write_text("image_id,lesion_id\n" + table)
    assert not prepare("auto", copy, data_dir=tmp_path / "data", workers=1).facts.by_looks
    asked = prepare("on", copy, data_dir=tmp_path / "data", workers=1, group_by_looks="on")
    assert (asked.facts.by_looks, asked.facts.joined_by_looks) == (True, 24)
    assert {name for name, _ in lesions(asked)["L0"]} == {"a02", "a03"}


def test_small_images_are_not_told_by_their_looks(source, tmp_path):
    small = tmp_path / "small"
    for path in source.rglob("*.*"):
        target = small / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        with Image.open(path) as image:
            image.resize((100, 130)).save(target)
    facts = prepare("small", small, data_dir=tmp_path / "data", workers=1).facts
    assert (facts.by_looks, facts.joined_by_looks, facts.small_for_looks) == (True, 0, 36)


def test_a_given_split_that_tears_a_lesion_apart_is_stamped(source, tmp_path):
    tree = tmp_path / "tree"
    for path in source.rglob("*.*"):
        number = int(path.stem[1:])
        split = "test" if path.stem.startswith("z") else ("train", "valid")[number % 4 // 2]
        target = tree / split / path.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(path.read_bytes())
    facts = prepare("tree", tree, data_dir=tmp_path / "data", workers=1).facts
    assert (facts.leaky, facts.leak) == (True, "12 lesions in more than one split")
