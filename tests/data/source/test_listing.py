import os

import pytest

from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError


def reasons(listing):
    return {item.source_path: item.reason for item in listing.quarantined}


def test_ham10000_joins_images_anywhere_with_the_table(ham_source):
    listing = list_source(ham_source)
    assert listing.layout == "ham10000"
    assert (listing.files, len(listing.records), listing.quarantined, listing.without_image) == (24, 24, (), ())
    record = next(record for record in listing.records if record.image_id == "ISIC_0000001")
    assert (record.lesion_id, record.label, record.dx, record.dx_type) == ("HAM_0000000", 1, "mel", "histo")
    assert (record.age, record.sex, record.localization) == (45.0, "male", "back")
    assert record.source_path == "HAM10000_images_part_2/ISIC_0000001.png"
    assert next(record for record in listing.records if record.image_id == "ISIC_0000000").age is None
    assert sum(record.label for record in listing.records) == 8


@pytest.mark.parametrize(("name", "delimiter"), [("HAM10000_metadata", ","), ("HAM10000_metadata.tab", "\t")])
def test_ham10000_reads_dataverse_spellings_of_the_table(tmp_path, write_image, write_table, name, delimiter):
    write_image(tmp_path / "a" / "ISIC_1.jpg")
    write_table(tmp_path / "b" / name, [("L1", "ISIC_1", "mel")], delimiter=delimiter)
    listing = list_source(tmp_path)
    assert listing.layout == "ham10000"
    assert [(record.image_id, record.lesion_id, record.label) for record in listing.records] == [("ISIC_1", "L1", 1)]


def test_ham10000_quarantines_what_the_table_does_not_cover(tmp_path, write_image, write_table):
    for name in ("Melanoma/a.png", "NotMelanoma/wrong.png", "norow.png", "torn.png", "blank.png"):
        write_image(tmp_path / name)
    rows = [("L", "a", "mel"), ("L", "wrong", "mel"), ("L", "torn", "mel"), ("L", "torn", "nv"), ("L", "blank", "")]
    write_table(tmp_path / "HAM10000_metadata.csv", [*rows, ("L", "absent", "nv")])
    listing = list_source(tmp_path)
    assert [record.image_id for record in listing.records] == ["a"]
    assert reasons(listing) == {
        "NotMelanoma/wrong.png": "its class folder contradicts dx=mel in HAM10000_metadata.csv",
        "norow.png": "no row in HAM10000_metadata.csv",
        "torn.png": "contradictory rows in HAM10000_metadata.csv",
        "blank.png": "no diagnosis in HAM10000_metadata.csv",
    }
    assert [item.reason for item in listing.without_image] == ["row absent has no image"]
    assert listing.files == len(listing.records) + len(listing.quarantined) == 5


def test_kaggle_takes_label_and_split_from_the_folders(tmp_path, write_image):
    for split in ("train_sep", "valid", "test"):
        write_image(tmp_path / "DermMel" / split / "Melanoma" / f"AUG_0_{len(split)}.jpeg")
        write_image(tmp_path / "DermMel" / split / "NotMelanoma" / f"ISIC_{len(split)}.jpg")
    write_image(tmp_path / "DermMel" / "stray.jpg")
    listing = list_source(tmp_path)
    assert listing.layout == "kaggle"
    found = {(record.image_id, record.label, record.given_split) for record in listing.records}
    names = {"train": 9, "validation": 5, "test": 4}
    assert found == {(f"AUG_0_{n}", 1, split) for split, n in names.items()} | {
        (f"ISIC_{n}", 0, split) for split, n in names.items()
    }
    assert reasons(listing) == {"DermMel/stray.jpg": "not in a class folder of a split"}


def test_folder_groups_lesions_by_an_optional_table(tmp_path, write_image):
    for name in ("Melanoma/a.png", "NotMelanoma/b.png", "NotMelanoma/c.png", "readme.txt/d.png"):
        write_image(tmp_path / name)
    (tmp_path / "lesions.csv").write_text("image_id,lesion_id\nb,L\nc,L\nz,L\n")
    listing = list_source(tmp_path)
    assert listing.layout == "folder"
    assert {record.image_id: (record.label, record.lesion_id) for record in listing.records} == {
        "a": (1, "a"),
        "b": (0, "L"),
        "c": (0, "L"),
    }
    assert reasons(listing) == {"readme.txt/d.png": "not in a class folder"}
    assert [item.reason for item in listing.without_image] == ["row z has no image"]


def test_of_two_files_with_one_id_the_first_is_kept(tmp_path, write_image):
    for name in ("Melanoma/a.jpg", "Melanoma/a.png", "NotMelanoma/b.png"):
        write_image(tmp_path / name)
    listing = list_source(tmp_path)
    assert [record.source_path for record in listing.records] == ["Melanoma/a.jpg", "NotMelanoma/b.png"]
    assert reasons(listing) == {"Melanoma/a.png": "image_id a is taken by Melanoma/a.jpg"}


def test_an_id_in_both_classes_is_not_used_at_all(tmp_path, write_image):
    for name in ("Melanoma/a.png", "NotMelanoma/a.png", "NotMelanoma/b.png"):
        write_image(tmp_path / name)
    listing = list_source(tmp_path)
    assert [record.image_id for record in listing.records] == ["b"]
    assert set(reasons(listing).values()) == {"image_id a lies in both classes"}


def test_links_are_followed_only_within_the_source(tmp_path, write_image):
    source, outside = tmp_path / "source", write_image(tmp_path / "outside" / "o.png")
    inside = write_image(source / "Melanoma" / "a.png")
    write_image(source / "NotMelanoma" / "b.png")
    (source / "Melanoma" / "inside.png").symlink_to(inside)
    (source / "Melanoma" / "out.png").symlink_to(outside)
    (source / "Melanoma" / "folder").symlink_to(outside.parent)
    (source / "Melanoma" / "broken.png").symlink_to(tmp_path / "nothing")
    (source / "Melanoma" / "circle.png").symlink_to(source / "Melanoma" / "circle.png")
    os.mkfifo(source / "Melanoma" / "pipe.png")
    listing = list_source(source)
    assert sorted(record.image_id for record in listing.records) == ["a", "b", "inside"]
    found = {path.removeprefix("Melanoma/"): reason for path, reason in reasons(listing).items()}
    assert found.pop("circle.png").startswith("cannot be opened")
    assert found == {
        "out.png": "link that leads out of the source; --follow_links follows it",
        "folder": "link to a folder, not followed; --follow_links follows it",
        "broken.png": "cannot be opened: FileNotFoundError",
        "pipe.png": "not a regular file",
    }


def test_the_order_and_the_fingerprint_come_from_the_content(ham_source):
    first = list_source(ham_source)
    assert list_source(ham_source) == first
    next(ham_source.rglob("*.png")).unlink()
    assert list_source(ham_source).fingerprint != first.fingerprint


def test_a_missing_source_is_named(tmp_path):
    with pytest.raises(UserError, match=r"source '.*nowhere' is missing; give --source=DIR"):
        list_source(tmp_path / "nowhere")


def test_a_file_is_no_source(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="file' is not a folder"):
        list_source(tmp_path / "file")


def test_an_empty_source_is_refused(tmp_path):
    with pytest.raises(UserError, match="holds no files; give the folder"):
        list_source(tmp_path)


def test_an_unknown_layout_says_what_was_looked_for(tmp_path, write_image):
    write_image(tmp_path / "a.png")
    with pytest.raises(
        UserError, match="no known layout: 1 files, but no HAM10000_metadata table, no ISIC 2018 ground truth"
    ):
        list_source(tmp_path)


def test_a_layout_that_does_not_fit_says_what_it_needs(ham_source):
    with pytest.raises(UserError, match=r"does not have the layout kaggle .folders train_sep.*looks like ham10000"):
        list_source(ham_source, "kaggle")


def test_two_tables_are_read_as_one_where_they_agree(ham_source):
    (ham_source / "HAM10000_metadata.tab").write_text("image_id\tdx\nISIC_0000000\tmel\nISIC_0000001\tnv\n")
    listing = list_source(ham_source)
    assert "2 tables are read, as one: HAM10000_metadata.csv and HAM10000_metadata.tab" in listing.notes
    contradictory = "contradictory rows in HAM10000_metadata.csv and HAM10000_metadata.tab"
    assert reasons(listing) == {"HAM10000_images_part_2/ISIC_0000001.png": contradictory}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"image_id,age\na,3\n", "has no column 'dx'; it needs image_id, dx"),
        (b"image_id,dx\na,\xff\n", "is not UTF-8 text .byte 14."),
        (b'image_id,dx\na,"b"c\n', "is not a well-formed table"),
    ],
)
def test_a_broken_table_is_named(tmp_path, write_image, content, message):
    write_image(tmp_path / "a.png")
    (tmp_path / "HAM10000_metadata.csv").write_bytes(content)
    with pytest.raises(UserError, match=message):
        list_source(tmp_path)


def test_the_real_set_is_complete(test_data):
    listing = list_source(test_data / "data" / "ham10000_256")
    assert (listing.layout, listing.files, len(listing.records)) == ("ham10000", 10015, 10015)
    assert sum(record.label for record in listing.records) == 1113
    assert len({record.lesion_id for record in listing.records}) == 7470 - 80, "same_lesions.csv joins some"


def class_folders(root, write_image, ids):
    for i, name in enumerate(ids):
        write_image(root / ("Melanoma", "NotMelanoma")[i % 2] / f"{name}.png")


def groups(listing):
    return {record.image_id: (record.lesion_id, record.patient_id) for record in listing.records}


@pytest.mark.parametrize("key", ["image_id", "image_name", "isic_id", "image", "Image_Name"])
def test_patients_and_lesions_are_read_from_any_table_beside_the_class_folders(tmp_path, write_image, key):
    class_folders(tmp_path, write_image, "abcd")
    (tmp_path / "LESIONS.CSV").write_text(f"{key},patient_id,Lesion_ID,age_approx\na,P1,L1,50\nb,P1,nan,\nc,NA,L3,\n")
    listing = list_source(tmp_path)
    assert groups(listing) == {"a": ("L1", "P1"), "b": ("b", "P1"), "c": ("L3", ""), "d": ("d", "")}
    assert listing.quarantined == ()
    assert listing.notes == ("lesions and patients of 3 of 4 images are from LESIONS.CSV",)
    assert listing.records[0].age == 50


def test_two_tables_that_disagree_on_a_patient_leave_the_image_out(tmp_path, write_image):
    class_folders(tmp_path, write_image, "abcd")
    (tmp_path / "1.csv").write_text("image_id,patient_id\na,P1\nb,P2\n")
    (tmp_path / "2.tsv").write_text("image\tpatient_id\tlesion_id\na\tP9\tL1\nb\tP2\tL2\n")
    listing = list_source(tmp_path)
    assert groups(listing) == {"b": ("L2", "P2"), "c": ("c", ""), "d": ("d", "")}
    assert reasons(listing) == {"Melanoma/a.png": "contradictory rows in 1.csv and 2.tsv"}


def test_a_tree_with_splits_takes_its_lesions_from_the_table_beside_it(tmp_path, write_image):
    for split in ("train", "valid", "test"):
        class_folders(tmp_path / split, write_image, (f"{split}{i}" for i in range(4)))
    rows = [f"HAM_{i},{split}{i},mel,P{i // 2}" for split in ("train", "valid", "test") for i in range(4)]
    (tmp_path / "HAM10000_metadata.csv").write_text("\n".join(["lesion_id,image_id,dx,patient_id", *rows, ""]))
    listing = list_source(tmp_path)
    assert listing.layout == "kaggle"
    assert groups(listing)["test3"] == ("HAM_3", "P1")


def test_a_patient_column_of_ham10000s_table_is_read(tmp_path, write_image):
    for name in "ab":
        write_image(tmp_path / f"{name}.png")
    (tmp_path / "HAM10000_metadata.csv").write_text("image_id,dx,patient_id\na,mel,P1\nb,nv,unknown\n")
    assert groups(list_source(tmp_path)) == {"a": ("a", "P1"), "b": ("b", "")}
