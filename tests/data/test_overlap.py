import dataclasses

import pytest
from PIL import Image

from mole_jax.data.dataset import open_dataset
from mole_jax.data.overlap import Match, Overlap, find_overlap, with_groups
from mole_jax.data.prepare.prepare import prepare


@pytest.fixture
def seen(ham_source, tmp_path):
    prepare("seen", ham_source, data_dir=tmp_path / "data", workers=1)
    return open_dataset(tmp_path / "data", "seen")


@pytest.fixture
def other(tmp_path, write_table):
    """other({new id: (source file or None, lesion)}): an external dataset with these files and two new images."""

    def make(images):
        folder = tmp_path / "other"
        folder.mkdir()
        rows = [("N1", "new1", "mel"), ("N2", "new2", "nv")]
        for i, name in enumerate(("new1", "new2")):
            Image.effect_noise((40, 30), 50 + i).convert("RGB").save(folder / f"{name}.png")
        for name, (write, lesion) in images.items():
            write(folder / name)
            rows.append((lesion, name, "nv"))
        write_table(folder / "HAM10000_metadata.csv", rows)
        prepare("other", folder, protocol="external", data_dir=tmp_path / "data", workers=1)
        return open_dataset(tmp_path / "data", "other")

    return make


def noise(path):
    Image.effect_noise((40, 30), 70).convert("RGB").save(path.with_suffix(".png"))


def test_nothing_in_common_is_no_overlap(seen, other):
    overlap = find_overlap(seen, other({}), ["test"])
    assert (overlap.images, overlap.matches, overlap.describe()) == (2, (), "")
    assert overlap.to_dict() == {"images": 0, "of": 2, "by": {}, "splits": {}, "matches": []}


def test_every_kind_is_found_by_its_strongest_evidence(seen, other, ham_source):
    train, validation = seen.rows["train"], seen.rows["validation"]
    source = {row.image_id: ham_source / row.source_path for row in (*train, *validation)}

    def same_bytes(path):
        path.with_suffix(".png").write_bytes(source[train[0].image_id].read_bytes())

    def same_pixels(path):
        with Image.open(source[validation[0].image_id]) as image:
            image.save(path.with_suffix(".tiff"))

    judged = other(
        {
            "copy": (same_bytes, "unknown1"),
            "encoded": (same_pixels, "unknown2"),
            train[1].image_id: (noise, "unknown3"),
            "sibling": (noise, train[2].lesion_id),
        }
    )
    overlap = find_overlap(seen, judged, ["test"])
    assert set(overlap.matches) == {
        Match("copy", train[0].image_id, "train", "file"),
        Match("encoded", validation[0].image_id, "validation", "pixels"),
        Match(train[1].image_id, train[1].image_id, "train", "image_id"),
        Match("sibling", next(r.image_id for r in train if r.lesion_id == train[2].lesion_id), "train", "lesion_id"),
    }
    text = overlap.describe()
    assert text.startswith("4 of 6 images are known to the run, from its train split (3) and validation split (1): ")
    assert "1 by file, 1 by pixels, 1 by image_id, their own or their original's, 1 by lesion_id" in text
    assert overlap.to_dict()["by"] == {"file": 1, "pixels": 1, "image_id": 1, "lesion_id": 1}


def test_an_image_of_the_runs_test_split_has_not_been_seen(seen, other, ham_source):
    row = seen.rows["test"][0]
    path = ham_source / row.source_path
    judged = other({row.image_id: (lambda to: to.with_suffix(".png").write_bytes(path.read_bytes()), row.lesion_id)})
    assert find_overlap(seen, judged, ["test"]).matches == ()


def test_the_original_of_a_copy_that_was_trained_on_has_been_seen(seen, other):
    """The manifest of a protocol that augments names the originals, which need not be in the set themselves."""
    copy = dataclasses.replace(seen.rows["train"][0], image_id="AUG_0_1", augmented_from="original", lesion_id="L")
    trained = dataclasses.replace(seen, rows={**seen.rows, "train": [copy, *seen.rows["train"][1:]]})
    judged = other({"original": (noise, "unknown")})
    assert find_overlap(trained, judged, ["test"]).matches == (Match("original", "AUG_0_1", "train", "image_id"),)


def test_the_originals_of_ham10000_are_recognised_at_another_size(test_data, tmp_path):
    """The 24 images at 600x450 against themselves at 256x256: the ids are equal, neither files nor pixels are."""
    small, large = (test_data / "data" / name for name in ("ham10000_256", "ham10000_600x450"))
    for path in large.glob("*/*.jpg"):
        (tmp_path / "copies" / path.parent.name).mkdir(parents=True, exist_ok=True)
        (tmp_path / "copies" / path.parent.name / path.name).write_bytes(
            (small / path.parent.name / path.name).read_bytes()
        )
    prepare("seen", tmp_path / "copies", data_dir=tmp_path / "data", workers=1)
    prepare("other", large, protocol="external", data_dir=tmp_path / "data", workers=1)
    trained, judged = (open_dataset(tmp_path / "data", name) for name in ("seen", "other"))
    overlap = find_overlap(trained, judged, ["test"])
    assert len(overlap.matches) == len(trained.rows["train"]) + len(trained.rows["validation"])
    assert {match.how for match in overlap.matches} == {"image_id"}


def of_rows(dataset, *rows):
    """The dataset with other rows in its test split, as far as `with_groups` looks."""
    return dataclasses.replace(dataset, rows={"test": list(rows)})


def test_another_image_of_a_patient_has_been_seen(seen, other):
    patient = dataclasses.replace(seen.rows["train"][0], patient_id="P1")
    trained = dataclasses.replace(seen, rows={**seen.rows, "train": [patient, *seen.rows["train"][1:]]})
    judged = other({"fresh": (noise, "F")})
    rows = [dataclasses.replace(row, patient_id="P1" if row.image_id == "fresh" else "") for row in judged.rows["test"]]
    overlap = find_overlap(trained, dataclasses.replace(judged, rows={"test": rows}), ["test"])
    assert overlap.matches == (Match("fresh", patient.image_id, "train", "patient_id"),)
    assert "1 by patient_id, as other images of a patient" in overlap.describe()


def test_what_shows_a_lesion_or_patient_that_is_known_is_known(seen, other):
    """As where one photograph of a lesion was recognised by its looks, and the next one was not."""
    judged = other({})
    a, b = judged.rows["test"]
    c = dataclasses.replace(b, image_id="c", lesion_id=a.lesion_id, patient_id="P")
    d = dataclasses.replace(b, image_id="d", lesion_id="other", patient_id="P")
    found = Overlap(4, (Match(a.image_id, "s", "validation", "photograph"),))
    overlap = with_groups(found, of_rows(judged, a, b, c, d), ["test"])
    assert overlap.matches[1:] == (Match("c", "s", "validation", "group"), Match("d", "s", "validation", "group"))
    assert "2 with an image of the same lesion or patient that is known" in overlap.describe()
