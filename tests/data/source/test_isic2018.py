import pytest

from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError

HEADER = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC"


@pytest.fixture
def tree(tmp_path, write_image):
    """tree(rows, lesions): images a, b, c and the challenge's tables as it delivers them."""

    def make(rows, lesions=None):
        for name in "abc":
            write_image(tmp_path / "ISIC2018_Task3_Training_Input" / f"{name}.png")
        truth = tmp_path / "ISIC2018_Task3_Training_GroundTruth" / "ISIC2018_Task3_Training_GroundTruth.csv"
        truth.parent.mkdir()
        truth.write_text("\n".join([HEADER, *rows, ""]))
        if lesions is not None:
            (tmp_path / "ISIC2018_Task3_Training_LesionGroupings.csv").write_text("\n".join([*lesions, ""]))
        return tmp_path

    return make


@pytest.mark.parametrize("column", ["diagnosis_confirm_type", "diagnosis confirm type"])
def test_one_hot_classes_and_lesions_are_read_as_ham10000s_own(tree, column):
    lesions = ["a,HAM_1,histopathology", "b,HAM_1,single image expert consensus", "c,HAM_2,by the stars"]
    source = tree(
        ["a,1.0,0,0,0,0,0,0", "b,0,0,0,0,0,0,1", "c,0,0,0,1.0,0,0,0"], [f"image,lesion_id,{column}", *lesions]
    )
    listing = list_source(source)
    assert (listing.layout, listing.files, listing.quarantined) == ("ham10000", 3, ())
    found = [(r.image_id, r.label, r.lesion_id, r.dx, r.dx_type) for r in listing.records]
    assert found == [
        ("a", 1, "HAM_1", "mel", "histo"),
        ("b", 0, "HAM_1", "vasc", "consensus"),
        ("c", 0, "HAM_2", "akiec", "by the stars"),
    ]


def test_without_groupings_every_image_is_a_lesion(tree):
    records = list_source(tree(["a,1,0,0,0,0,0,0", "b,0,1,0,0,0,0,0", "c,0,1,0,0,0,0,0"])).records
    assert [(record.lesion_id, record.dx_type) for record in records] == [("a", ""), ("b", ""), ("c", "")]


def test_rows_with_no_class_or_two_are_quarantined_and_missing_images_listed(tree):
    listing = list_source(tree(["a,0,0,0,0,0,0,0", "b,1,1,0,0,0,0,0", "c,1,0,0,0,0,0,0", "d,1,0,0,0,0,0,0"]))
    assert [record.image_id for record in listing.records] == ["c"]
    table = "ISIC2018_Task3_Training_GroundTruth/ISIC2018_Task3_Training_GroundTruth.csv"
    assert [item.reason for item in listing.quarantined] == [
        f"no diagnosis in {table}",
        f"contradictory rows in {table}",
    ]
    assert [item.reason for item in listing.without_image] == ["row d has no image"]


def test_contradictory_groupings_are_not_used(tree):
    rows = ["a,1,0,0,0,0,0,0", "b,0,1,0,0,0,0,0", "c,0,1,0,0,0,0,0"]
    listing = list_source(tree(rows, ["image,lesion_id", "a,L", "b,L", "b,M", "c,M"]))
    assert [record.image_id for record in listing.records] == ["a", "c"]


@pytest.mark.parametrize("cell", ["0.7", "yes", ""])
def test_a_submission_is_no_ground_truth(tree, cell):
    with pytest.raises(UserError, match=rf"{cell!r} of image a in column NV is neither 0 nor 1; give the challenge's"):
        list_source(tree([f"a,0,{cell},0,0,0,0,0"]))


def test_the_challenges_splits_in_one_folder_are_the_splits(tree, tmp_path, write_image):
    """As unpacked: Training with its lesions, Validation and Test without."""
    source = tree(
        ["a,1,0,0,0,0,0,0", "b,0,1,0,0,0,0,0", "c,0,1,0,0,0,0,0"], ["image,lesion_id", "a,L1", "b,L2", "c,L2"]
    )
    truth = next(path for path in source.rglob("*GroundTruth.csv"))
    assert "Training" in truth.name
    for split, name in (("Validation", "v"), ("Test", "t")):
        write_image(source / f"ISIC2018_Task3_{split}_Input" / f"{name}.png")
        (source / f"ISIC2018_Task3_{split}_GroundTruth.csv").write_text(f"{HEADER}\n{name},0,1,0,0,0,0,0\n")
    listing = list_source(source)
    assert {r.image_id: (r.given_split, r.lesion_id) for r in listing.records} == {
        "a": ("train", "L1"),
        "b": ("train", "L2"),
        "c": ("train", "L2"),
        "v": ("validation", "v"),
        "t": ("test", "t"),
    }
    assert any(note.startswith("3 tables are read, each as the split that its name tells: ") for note in listing.notes)
    assert any(note.startswith("lesions of 3 of 5 images are from ") for note in listing.notes)


def test_tables_whose_names_tell_no_splits_are_read_as_one(tree):
    source = tree(["a,1,0,0,0,0,0,0", "b,0,1,0,0,0,0,0"])
    (source / "more.csv").write_text(f"{HEADER}\nb,1,0,0,0,0,0,0\nc,0,1,0,0,0,0,0\n")
    listing = list_source(source)
    assert {record.image_id: record.given_split for record in listing.records} == {"a": None, "c": None}
    assert [item.reason[:18] for item in listing.quarantined] == ["contradictory rows"], "b is both"
    assert any("2 tables are read, as one: " in note for note in listing.notes)


def test_lesions_of_other_images_are_an_error(tree):
    source = tree(["a,1,0,0,0,0,0,0"], ["image,lesion_id", "x,L1", "y,L2"])
    with pytest.raises(UserError, match=r"none of the 2 images in .*, such as 'x', is in .*; give the table of these"):
        list_source(source)


def test_a_ground_truth_with_lesions_is_one_table(tree):
    source = tree(["a,1,0,0,0,0,0,0", "b,0,1,0,0,0,0,0", "c,0,1,0,0,0,0,0"])
    truth = next(source.rglob("*.csv"))
    lesions = ["lesion_id", "L1", "L2", "L2"]
    truth.write_text(
        "".join(f"{row},{lesion}\n" for row, lesion in zip(truth.read_text().split(), lesions, strict=True))
    )
    listing = list_source(source)
    assert (listing.files, listing.quarantined) == (3, ())
    assert {record.image_id: record.lesion_id for record in listing.records} == {"a": "L1", "b": "L2", "c": "L2"}


def test_2019_adds_classes_ages_and_unknown_diagnoses(tmp_path, write_image):
    for name in ("a", "b_downsampled", "c", "d"):
        write_image(tmp_path / "ISIC_2019_Training_Input" / f"{name}.png")
    ones = {"a": "MEL", "b_downsampled": "AK", "c": "SCC", "d": "UNK"}
    columns = ["MEL", "NV", "BCC", "AK", "BKL", "DF", "VASC", "SCC", "UNK"]
    rows = [",".join([name, *(f"{float(column == one)}" for column in columns)]) for name, one in ones.items()]
    (tmp_path / "GroundTruth.csv").write_text("\n".join([f"image,{','.join(columns)}", *rows, ""]))
    (tmp_path / "Metadata.csv").write_text(
        "image,age_approx,anatom_site_general,lesion_id,sex\na,55.0,,MSK_1,female\nb_downsampled,,head,MSK_1,\n"
    )
    listing = list_source(tmp_path)
    found = [(r.image_id, r.label, r.lesion_id, r.dx, r.sex, r.localization) for r in listing.records]
    assert found == [
        ("a", 1, "MSK_1", "mel", "female", ""),
        ("b_downsampled", 0, "MSK_1", "ak", "", "head"),
        ("c", 0, "c", "scc", "", ""),
    ]
    assert listing.records[0].age == 55
    assert [item.source_path for item in listing.quarantined] == ["ISIC_2019_Training_Input/d.png"]
