import csv
import json
import shutil

import numpy as np
import pytest

from mole_jax.audit.audit import audit
from mole_jax.audit.collection import Member, of_dataset, of_source
from mole_jax.audit.copies import Copies, against_manifest
from mole_jax.audit.files import write_files
from mole_jax.audit.table import WIDTH, format_audit
from mole_jax.data.groups import connected
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from tests.audit.conftest import turned


@pytest.fixture(scope="module")
def found(kaggle_tree):
    return audit(of_source(kaggle_tree))


def read(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_leaky_tree(found):
    result = found.result
    assert {leak["kind"]: (leak["groups"], leak["images"]) for leak in result["leaks"]} == {
        "image_id": (1, 2),
        "lesion": (1, 2),
        "identical_file": (1, 2),
        "identical_pixels": (1, 2),
        "near_duplicate": (2, 4),
    }
    assert found.leaky
    assert result["duplicates"]["near_duplicate"]["groups"] == 4
    assert result["siblings_in_training"]["test"]["mole"]["with_sibling"] == 1
    assert result["siblings_in_training"]["validation"]["mole"]["with_sibling"] == 1
    assert result["siblings_in_training"]["test"]["melanoma"]["with_sibling"] == 0


def test_a_contradicting_label_is_named(found):
    near = found.result["duplicates"]["near_duplicate"]
    assert near["contradicting_groups"] == 1
    (group,) = near["contradicting"]
    assert {(one["image_id"], one["class"]) for one in group} == {("AUG_0_5", "melanoma"), ("ISIC_905", "mole")}


def test_the_worst_pairs_come_first(found):
    pairs = found.result["worst_pairs"]
    assert [pair["across_splits"] for pair in pairs] == [True, True, False, False]
    assert pairs[2]["a"]["class"] != pairs[2]["b"]["class"], "a contradiction before a mere duplicate"
    for pair in pairs:
        assert found.members[pair["a"]["index"]].path == pair["a"]["path"]


def test_the_name_gives_the_class_away(found):
    facts = found.result["shortcuts"]["file_facts"]
    assert facts["shortcut"]
    assert facts["auroc"]["value"] > 0.9
    assert facts["alone"]["name pattern"] > 0.9
    assert "extension" not in facts["alone"], "the same for all, so it tells nothing"


def test_the_table_says_what_matters(found):
    text = format_audit(found.result)
    assert max(map(len, text.splitlines())) <= WIDTH
    assert "!!! LEAK: 2 lesions are seen in more than one split (4 images), judged by their pixels" in text
    assert "!!! SHORTCUT: file facts alone tell the class with AUROC" in text
    assert "!!! CONTRADICTION: groups of images with both labels: 1 with the same to look at" in text


def test_the_files_name_every_pair(found, tmp_path):
    write_files(found, tmp_path / "new")
    assert json.loads((tmp_path / "new" / "audit.json").read_text())["leaks"] == found.result["leaks"]
    rows = read(tmp_path / "new" / "near_duplicates.csv")
    assert [(row["image_id_a"], row["image_id_b"]) for row in rows[:2]] == [
        (found.members[pair.query].image_id, found.members[pair.reference].image_id) for pair in found.pairs[:2]
    ]
    assert {row["split_a"] for row in rows} <= {"train", "validation", "test"}
    copies = read(tmp_path / "new" / "copies.csv")
    assert len(copies) == found.result["copies"]["images"]


def test_an_out_that_is_a_file_is_a_users_mistake(found, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file. is a file, not a folder; give another --out"):
        write_files(found, tmp_path / "file")


def test_without_splits_nothing_leaks(tmp_path, drawn, write_image):
    for i, image in enumerate(drawn[:12]):
        write_image(tmp_path / ("Melanoma", "NotMelanoma")[i % 2] / f"{i}.png", image)
    write_image(tmp_path / "Melanoma" / "again.png", turned(drawn[0], rotation=15))
    (tmp_path / "Melanoma" / "notes.png").write_text("not an image")
    result = audit(of_source(tmp_path)).result
    assert (result["has_splits"], result["leaks"], result["siblings_in_training"]) == (False, [], {})
    assert result["duplicates"]["near_duplicate"]["groups"] == 1
    assert result["unreadable"] == {"Melanoma/notes.png": "not an image"}
    assert "there are no splits, so nothing can leak yet" in format_audit(result)


def test_a_patient_in_two_splits_is_a_leak(tmp_path, drawn, write_image):
    rows = []
    for i, image in enumerate(drawn[:12]):
        split = ("train", "valid", "test")[i % 3]
        write_image(tmp_path / split / ("Melanoma", "NotMelanoma")[i % 2] / f"{i}.png", image)
        rows.append(f"{i},{f'P{i // 2}' if i < 4 else 'unknown'}\n")
    (tmp_path / "patients.csv").write_text("image_id,patient_id\n" + "".join(rows))
    found = audit(of_source(tmp_path))
    assert [leak["sentence"] for leak in found.result["leaks"]] == ["2 patients lie in more than one split (4 images)"]
    assert found.result["patients_known"]
    assert "!!! LEAK: 2 patients lie in more than one split (4 images)" in format_audit(found.result)


def test_originals_elsewhere_are_named(tmp_path, drawn, write_image):
    for i, image in enumerate(drawn[:8]):
        write_image(tmp_path / "originals" / ("Melanoma", "NotMelanoma")[i % 2] / f"ISIC_{i}.png", image)
        for k in (1, 2):
            copy = turned(image, rotation=50 * k + i, flip=(k == 1, False), shift=(3 * k, -2 * i))
            write_image(tmp_path / "copies" / ("Melanoma", "NotMelanoma")[i % 2] / f"AUG_{i}_{k}.png", copy)
    found = audit(of_source(tmp_path / "copies"), of_source(tmp_path / "originals"))
    named = {found.members[i].image_id: of_one.original for of_one in found.copies for i in of_one.images}
    assert named == {f"AUG_{i}_{k}": f"ISIC_{i}" for i in range(8) for k in (1, 2)}


def test_a_dataset_split_by_lesion_does_not_leak(tmp_path):
    prepare("synthetic", examples=60, data_dir=tmp_path, workers=1)
    result = audit(of_dataset(tmp_path, "synthetic")).result
    assert result["leaks"] == []
    assert not result["photographed"]
    assert result["against_manifest"] is None


def test_the_paper_protocol_leaks_and_the_search_needs_no_manifest(tmp_path, test_data):
    """Rebuilt from 30 real melanomas and 120 other lesions: copies are found by their pixels alone."""
    source = tmp_path / "source"
    for label, count in (("Melanoma", 30), ("NotMelanoma", 120)):
        (source / label).mkdir(parents=True)
        for path in sorted((test_data / "data" / "ham10000_256" / label).iterdir())[:count]:
            shutil.copyfile(path, source / label / path.name)
    prepare("small_paper", source, protocol="paper", data_dir=tmp_path / "data", workers=1)
    result = audit(of_dataset(tmp_path / "data", "small_paper"), of_source(source)).result
    truth = result["against_manifest"]
    assert truth["copies"] >= 90
    assert truth["recall"] >= 0.95
    assert truth["precision"] >= 0.95
    assert truth["rightly"] >= 0.95 * truth["copies"], "and each is led back to its original"
    assert result["siblings_in_training"]["test"]["melanoma"]["share"] >= 0.8
    assert "near_duplicate" in {leak["kind"] for leak in result["leaks"]}


def test_no_image_at_all(tmp_path):
    for folder in ("Melanoma", "NotMelanoma"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{folder}.png").write_text("not an image")
    with pytest.raises(UserError, match=r"none of the 2 images of .* can be read, such as '.*': not an image"):
        audit(of_source(tmp_path))


def test_pairs_against_the_manifest_by_hand():
    """Originals A and B; copies a1, a2 of A and b1 of B. Found: {A, a1}, {a2, b1}."""
    members = [
        Member(name, name, 1, "train", name, origin)
        for name, origin in (("A", ""), ("B", ""), ("a1", "A"), ("a2", "A"), ("b1", "B"))
    ]
    truth = against_manifest(members, [Copies([0, 2], "A"), Copies([3, 4], "B")])
    assert truth == {
        "sibling_pairs": 4,
        "found": 1,
        "wrong": 1,
        "recall": 1 / 4,
        "precision": 1 / 2,
        "copies": 3,
        "named": 3,
        "rightly": 2,
    }


def test_groups_hang_together_through_others():
    group = connected(6, [(0, 3), (3, 5), (1, 2)])
    assert len(np.unique(group)) == 3
    assert group[0] == group[3] == group[5]
    assert group[1] == group[2] != group[4]
