"""What a diagnosis means is decided by the vocabulary or by the user, never by default."""

import csv
from pathlib import Path

import pytest

from mole_jax.data.source.choices import Choices
from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError
from mole_jax.vocabulary import diagnoses
from mole_jax.vocabulary.diagnoses import GROUPS, NO_DECISIONS, VERDICTS, Decisions, group, vocabulary
from mole_jax.vocabulary.words import is_unknown, plain

MELANOMA = ["mel", "MEL", "Melanoma", " melanoma ", "melanoma_in_situ", "Melanoma In Situ", "melanoma (in situ)"]
MELANOMA += ["Melanoma-Invasive", "lentigo maligna", "Lentigo_Maligna_Melanoma", "melanoma metastasis"]
MELANOMA += ["melanoma (0.76 to 1.5 mm)", "Malignant melanocytic proliferations (Melanoma)"]
OTHERS = ["nv", "NV", "melanocytic_Nevi", "Seborrheic Keratosis", "clark nevus", "BCC", "AKIEC", "not-melanoma", "NEV"]
OTHERS += ["lentigo simplex", "Pigmented benign keratosis", "squamous cell carcinoma", "Common Nevus", "benign"]
UNKNOWN = ["", " ", "-", "--", "?", "nan", "NaN", "NA", "N/A", "n.a.", "None", "NULL", "unknown", "UNKNOWN", "UNK"]


@pytest.mark.parametrize("text", MELANOMA)
def test_every_spelling_of_melanoma_is_one(text):
    assert NO_DECISIONS.label(text) == 1


@pytest.mark.parametrize("text", OTHERS)
def test_other_diagnoses_are_not_melanoma(text):
    assert NO_DECISIONS.label(text) == 0


@pytest.mark.parametrize("text", [*UNKNOWN, "indeterminate", "AMP", "Atypical melanocytic proliferation"])
def test_what_is_not_known_has_no_label(text):
    assert NO_DECISIONS.label(text) is None


@pytest.mark.parametrize("text", UNKNOWN)
def test_unknown_has_many_spellings(text):
    assert is_unknown(text)


@pytest.mark.parametrize("text", ["0", "nv", "no", "Nana", "male"])
def test_what_is_known_is_not_unknown(text):
    assert not is_unknown(text)


@pytest.mark.parametrize("text", ["malignant", "foo", "0", "1", "melanomaniac"])
def test_nothing_is_guessed(text):
    with pytest.raises(KeyError):
        NO_DECISIONS.label(text)


def test_the_vocabulary_is_in_order():
    with (Path(diagnoses.__file__).parent / "diagnoses.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(vocabulary()) == len(rows), "no spelling twice"
    assert all(row["spelling"] == plain(row["spelling"]) and row["verdict"] in VERDICTS and row["sets"] for row in rows)
    for row in rows:
        groups = (*GROUPS, "") if row["verdict"] == "not melanoma" else ("",)
        assert row["group"] in groups, row


def test_groups_of_what_is_no_melanoma():
    ham10000 = {
        "nv": "nevus",
        "bkl": "keratosis",
        "bcc": "basal cell carcinoma",
        "akiec": "squamous cell carcinoma",
        "df": "dermatofibroma",
        "vasc": "vascular lesion",
        "mel": "",
    }
    assert {text: group(text) for text in ham10000} == ham10000
    assert group("Benign::Benign melanocytic proliferations::Nevus::Nevus, Spitz") == "nevus"
    assert [group(text) for text in ("benign", "unknown", "", "no word of it", "Wart")] == ["", "", "", "", "other"]


def test_what_the_user_decides_goes_before_the_vocabulary():
    decisions = Decisions(positive=("Malignant",), negative=("lentigo maligna", "foo", "1"))
    assert [decisions.label(text) for text in ("malignant", "Lentigo_maligna", "FOO", "mel", "1.0")] == [1, 0, 0, 1, 0]


def test_values_outside_the_vocabulary_are_listed_with_their_counts_and_the_flags():
    with pytest.raises(UserError) as error:
        NO_DECISIONS.check(["mel", "nv", "foo", "bar", "foo", "unknown"], "column 'dx' of t.csv")
    assert str(error.value) == (
        "column 'dx' of t.csv has 2 values that may mean melanoma or not: foo (2), bar (1); say which with "
        "--positive=VALUE,VALUE (melanoma) and --negative=VALUE,VALUE (not melanoma)"
    )
    Decisions(positive=("foo",), negative=("bar",)).check(["mel", "foo", "bar"], "")


def test_many_values_are_cut():
    with pytest.raises(UserError, match=r"has 40 values .* and 28 more; say which"):
        NO_DECISIONS.check([f"v{i}" for i in range(40)], "it")


@pytest.mark.parametrize("value", ["unknown", "nan", "indeterminate", "AMP"])
def test_unknown_never_counts_as_negative(value):
    with pytest.raises(UserError, match=f"--negative={value}: .* may be a melanoma and cannot count as none"):
        Decisions(negative=(value,))


def test_a_diagnosis_is_not_decided_both_ways():
    with pytest.raises(UserError, match="'foo' is in --positive and in --negative; leave it in one"):
        Decisions(positive=("foo",), negative=("FOO",))


@pytest.fixture
def mixed(tmp_path, write_image, write_table):
    """A HAM10000-like table that spells its diagnoses in many ways."""
    words = {"a": "MEL", "b": "melanoma in situ", "c": "NV", "d": "melanocytic_Nevi", "e": "unknown", "f": "AMP"}
    for name in words:
        write_image(tmp_path / f"{name}.png")
    write_table(tmp_path / "HAM10000_metadata.csv", [(f"L{name}", name, word) for name, word in words.items()])
    return tmp_path


def test_a_table_is_read_by_the_vocabulary_and_unknown_diagnoses_are_quarantined(mixed):
    listing = list_source(mixed)
    assert {record.image_id: record.label for record in listing.records} == {"a": 1, "b": 1, "c": 0, "d": 0}
    assert {item.source_path: item.reason for item in listing.quarantined} == {
        f"{name}.png": f"the diagnosis is {word!r}, which says neither melanoma nor not melanoma, in "
        "HAM10000_metadata.csv"
        for name, word in (("e", "unknown"), ("f", "AMP"))
    }


def test_a_table_with_a_word_that_nobody_knows_stops_until_it_is_decided(mixed, write_image):
    write_image(mixed / "g.png")
    with (mixed / "HAM10000_metadata.csv").open("a") as file:
        file.write("LG,g,Malignant,histo,,male,back\n")
    with pytest.raises(UserError, match=r"column 'dx' of HAM10000_metadata.csv has 1 value that .*: Malignant \(1\)"):
        list_source(mixed)
    decided = list_source(mixed, choices=Choices(Decisions(positive=("malignant",))))
    assert next(record.label for record in decided.records if record.image_id == "g") == 1
    assert decided.fingerprint != list_source(mixed, choices=Choices(Decisions(negative=("malignant",)))).fingerprint


@pytest.mark.parametrize("word", ["nan", "NA", "None", "-", "unknown", "N/A"])
def test_an_unknown_lesion_is_no_group_and_unknown_sex_and_site_are_empty(tmp_path, write_image, word):
    for name in "ab":
        write_image(tmp_path / f"{name}.png")
    rows = [f"{word},a,mel,{word},{word},{word},{word}", f"{word},b,nv,histo,50,F,Back"]
    header = "lesion_id,image_id,dx,dx_type,age,sex,localization"
    (tmp_path / "HAM10000_metadata.csv").write_text("\n".join([header, *rows, ""]))
    a, b = list_source(tmp_path).records
    assert (a.lesion_id, b.lesion_id, b.sex) == ("a", "b", "female")
    said = "unknown" if word == "unknown" else ""  # as HAM10000 writes it
    assert (a.sex, a.localization, a.dx_type) == (said, said, "")
