"""The generic door: any folder of images with a table, or with folders of any name."""

import dataclasses

import pytest

from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.source.choices import Choices, parse_classes
from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError
from mole_jax.vocabulary.diagnoses import Decisions
from mole_jax.vocabulary.identity import match_ids


@pytest.fixture
def own(tmp_path, write_image):
    """own(text): a folder of 12 images, 0.png to 11.png, with the table own.csv of that text."""

    def make(text, name="own.csv"):
        for i in range(12):
            write_image(tmp_path / "src" / "pictures" / f"{i}.png")
        (tmp_path / "src" / name).write_text(text)
        return tmp_path / "src"

    return make


def table(header, row, count=12):
    return "\n".join([header, *(row(i) for i in range(count)), ""])


def by_id(listing, *names):
    return {record.image_id: tuple(getattr(record, name) for name in names) for record in listing.records}


def test_a_table_of_any_columns_is_read(own):
    source = own(table("file,what,who,where", lambda i: f"{i}.png,{('yes', 'no')[i % 2]},P{i // 4},S{i // 2}"))
    choices = Choices(Decisions(("yes",), ("no",)), (), "own.csv", "file", "what", ("where", "who"))
    listing = list_source(source, choices=choices)
    assert (listing.layout, listing.files, listing.quarantined) == ("table", 12, ())
    assert by_id(listing, "label", "lesion_id", "patient_id", "dx")["6"] == (1, "S3", "P1", "yes")
    assert listing.notes == (
        "rows of own.csv were found 12 by the name with its ending",
        "grouped by where and who of own.csv",
    )


def test_the_table_may_lie_elsewhere_and_counts_for_the_fingerprint(own, tmp_path):
    source = own("a,b\n")
    elsewhere = tmp_path / "t.tsv"
    fingerprints = set()
    for word in ("nv", "bcc"):
        elsewhere.write_text(table("image\tdx", lambda i, word=word: f"{i}\t{('mel', word)[i % 2]}"))
        listing = list_source(source, choices=Choices(table=str(elsewhere), label_column="dx"))
        assert [item.source_path for item in listing.quarantined] == ["own.csv"]
        fingerprints.add(listing.fingerprint)
    assert len(fingerprints) == 2


def test_the_only_other_value_than_the_positive_one_is_negative_and_that_is_said(own):
    source = own(table("image,target", lambda i: f"{i},{i % 2 if i else 'nan'}"))
    listing = list_source(source, choices=Choices(Decisions(("1",)), table="own.csv", label_column="target"))
    assert [by_id(listing, "label")[str(i)] for i in (1, 2)] == [(1,), (0,)]
    assert [item.source_path for item in listing.quarantined] == ["pictures/0.png"], "unknown is never a negative"
    assert "'0' in column 'target' of own.csv counts as not melanoma, the only other value" in listing.notes


def test_of_three_values_none_is_guessed(own):
    source = own(table("image,target", lambda i: f"{i},{i % 3}"))
    with pytest.raises(UserError, match=r"column 'target' of own.csv has 2 values .*: 0 \(4\), 2 \(4\); say which"):
        list_source(source, choices=Choices(Decisions(("1",)), table="own.csv", label_column="target"))


def test_a_split_column_is_kept_and_validation_carved_where_it_is_missing(own, tmp_path):
    source = own(table("image,dx,set", lambda i: f"{i},{('mel', 'nv')[i % 2]},{('Training', 'test')[i % 6 > 3]}"))
    choices = Choices(table="own.csv", label_column="dx", split_column="set")
    summary = prepare("own", source, data_dir=tmp_path / "data", choices=choices, workers=1)
    assert summary.facts.protocol == "given"
    assert summary.facts.counts == {"train": [3, 3], "validation": [1, 1], "test": [2, 2]}
    assert "the source has no validation split: a quarter of training became it" in summary.notes[-1]
    other = dataclasses.replace(choices, decisions=Decisions(("foo",)))
    with pytest.raises(UserError, match="prepared from another source or with other choices"):
        prepare("own", source, data_dir=tmp_path / "data", protocol="given", choices=other)


def test_an_odd_split_is_named(own):
    source = own(table("image,dx,fold", lambda i: f"{i},mel,{i % 5}"))
    with pytest.raises(
        UserError, match=r"column 'fold' of own.csv has '0', '1', '2', '3', '4' among its splits; write"
    ):
        list_source(source, choices=Choices(table="own.csv", label_column="dx", split_column="fold"))


MISTAKES = {
    "no label": ({"table": "own.csv"}, "--table=own.csv needs --label=COLUMN"),
    "no table": ({"label_column": "dx"}, "--label names a column and there is no table; give --table=FILE"),
    "no such table": (
        {"table": "no.csv", "label_column": "dx"},
        "no.csv is no file, neither here nor in .*has own.csv",
    ),
    "no id column": ({"table": "own.csv", "label_column": "dx"}, "none of the columns image_id, .*; say with --id=COL"),
    "no such column": (
        {"table": "own.csv", "id_column": "f", "label_column": "diag"},
        "no column 'diag'; it needs f, diag, and its first line is 'f, dx'",
    ),
    "three groups": (
        {"table": "own.csv", "label_column": "dx", "group_columns": ("a", "b", "c")},
        "--group=a,b,c names more than two",
    ),
    "both doors": (
        {"table": "own.csv", "label_column": "dx", "classes": (("a", 1), ("b", 0))},
        "--table and --classes both say what is a melanoma",
    ),
}


@pytest.mark.parametrize(("choices", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_named(own, choices, message):
    source = own(table("f,dx", lambda i: f"{i},mel"))
    with pytest.raises(UserError, match=message):
        list_source(source, choices=Choices(**choices))


def test_a_table_of_other_images_is_an_error(own):
    source = own(table("image,dx", lambda i: f"other{i},mel"))
    with pytest.raises(
        UserError, match=r"none of the 12 ids in own.csv, such as 'other0', is the name of one of the 12"
    ):
        list_source(source, choices=Choices(table="own.csv", label_column="dx"))


@pytest.mark.parametrize(
    ("path", "table_id", "how"),
    [
        ("a/b.jpg", "b", []),
        ("a/b.jpg", "b.jpg", ["1 by the name with its ending"]),
        ("a/b.jpg", "a\\b.jpg", ["1 by the name with its ending"]),
        ("a/B.JPG", "b.jpg", ["1 by the name without ending, folder and case"]),
        ("a/b.jpg", "old/B.png", ["1 by the name without ending, folder and case"]),
        ("a/7.jpg", "007", ["1 by the name without leading zeros"]),
        ("a/ISIC_0000007.jpg", "isic_7", ["1 by the name without leading zeros"]),
        ("a/v1.2.jpg", "v1.2", []),
    ],
)
def test_ids_are_matched_as_people_rewrite_them(path, table_id, how):
    assert match_ids([path], [table_id, "another"]) == ({path: table_id}, how)


def test_what_fits_two_ids_fits_none_and_an_exact_match_is_not_shared():
    assert match_ids(["x/B.jpg"], ["b.png", "b.jpg"]) == ({}, [])
    assert match_ids(["x/1.jpg", "x/01.jpg"], ["1"])[0] == {"x/1.jpg": "1"}


def tree(root, write_image, *folders, count=4):
    for folder in folders:
        for i in range(count):
            write_image(root / folder / f"{i}.png", seed=len(folder))
    return root


def test_folders_of_any_name_are_classes_if_the_user_says_so(tmp_path, write_image):
    source = tree(tmp_path, write_image, "Malignant", "benign", "odd")
    listing = list_source(source, choices=Choices(classes=parse_classes(["malignant=1", "benign=0"])))
    assert (listing.layout, sum(record.label for record in listing.records), len(listing.records)) == ("folder", 4, 8)
    assert {item.reason for item in listing.quarantined} == {"not in a class folder"}
    assert listing.notes == ("folders beside the class folders that are none: odd (4); --classes says what they are",)


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["malignant"], "'malignant' is not FOLDER=1 or FOLDER=0"),
        (["a=2"], "'a=2' is not FOLDER=1"),
        (["a=1", "A=0"], "names the folder 'A' twice"),
        (["a=1"], "--classes=a=1 needs both classes"),
    ],
)
def test_odd_classes_are_named(texts, message):
    with pytest.raises(UserError, match=message):
        Choices(classes=parse_classes(texts))


def test_folders_called_by_their_diagnoses_are_classes(tmp_path, write_image):
    source = tree(tmp_path, write_image, "Train/melanoma", "Train/nevus", "Train/basal cell carcinoma", "Test/melanoma")
    listing = list_source(source)
    assert listing.layout == "kaggle"
    assert [record.label for record in listing.records].count(1) == 8
    assert {record.given_split for record in listing.records} == {"train", "test"}


@pytest.mark.parametrize("name", ["NotMelanoma", "Non-Melanoma", "Not Melanoma", "not_melanoma", "nonmelanoma"])
def test_spellings_of_not_melanoma(tmp_path, write_image, name):
    listing = list_source(tree(tmp_path, write_image, "Melanoma", name))
    assert [record.label for record in listing.records] == [1] * 4 + [0] * 4


def test_a_folder_that_holds_everything_tells_no_class(tmp_path, write_image, write_table):
    tree(tmp_path / "melanoma", write_image, "images")
    write_table(tmp_path / "melanoma" / "metadata (1).csv", [(f"L{i}", f"{i}", ("mel", "nv")[i % 2]) for i in range(4)])
    listing = list_source(tmp_path)
    assert (listing.layout, [record.label for record in listing.records]) == ("ham10000", [1, 0, 1, 0])
    assert listing.quarantined == ()


def test_a_refusal_lists_what_was_seen_and_the_command_that_works(tmp_path, write_image):
    tree(tmp_path, write_image, "train/benign", "train/malignant")
    (tmp_path / "train.csv").write_text(table("image_name,patient_id,target", lambda i: f"{i},P{i},{i % 2}", 4))
    with pytest.raises(UserError) as error:
        list_source(tmp_path)
    message = str(error.value)
    assert "the table train.csv with the columns image_name, patient_id, target" in message
    assert (
        "the folders train (8 files), benign (4 files), malignant (4 files)" in message or "benign (4 files)" in message
    )
    assert '--table="train.csv" --id=image_name --label=target --positive=1 --group=patient_id' in message
    assert '--classes="benign=0,malignant=1", with 1 for melanoma (malignant is more than melanoma)' in message


def test_numbered_files_of_two_folders_are_different_images(tmp_path, write_image):
    source = tree(tmp_path, write_image, "Melanoma", "NotMelanoma")
    listing = list_source(source)
    assert len(listing.records) == 8 and listing.quarantined == ()
    assert by_id(listing, "lesion_id")["NotMelanoma/0"] == ("NotMelanoma/0",)


def test_one_file_in_two_folders_is_one_image(tmp_path, write_image):
    source = tree(tmp_path, write_image, "Melanoma/a", "NotMelanoma")
    (source / "Melanoma" / "b").mkdir()
    (source / "Melanoma" / "b" / "0.png").write_bytes((source / "Melanoma" / "a" / "0.png").read_bytes())
    listing = list_source(source)
    assert len(listing.records) == 8
    assert [item.reason for item in listing.quarantined] == ["image_id Melanoma/a/0 is taken by Melanoma/a/0.png"]


def test_files_that_are_no_images_do_not_change_what_others_are_called(tmp_path, write_image):
    source = tree(tmp_path, write_image, "Melanoma/a", "NotMelanoma", count=1)
    (source / "NotMelanoma" / "0.png").rename(source / "NotMelanoma" / "1.png")
    (source / "NotMelanoma" / "0.jpg").write_text("half a download")
    assert sorted(record.image_id for record in list_source(source).records) == ["0", "1"]
