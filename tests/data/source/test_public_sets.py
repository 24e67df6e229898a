"""The trees of the public sets as they are unpacked, drawn small: each is read by its columns, not by its name."""

import pytest

from mole_jax.data.prepare.protocols import choose_protocol
from mole_jax.data.source.choices import Choices
from mole_jax.data.source.listing import list_source
from mole_jax.errors import UserError
from mole_jax.vocabulary.diagnoses import Decisions


@pytest.fixture
def make(tmp_path, write_image):
    """make({table: text}, *images): a source of these."""

    def write(tables, *images):
        for name in images:
            write_image(tmp_path / name)
        for name, text in tables.items():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def found(listing, *names):
    return {record.image_id: tuple(getattr(record, name) for name in names) for record in listing.records}


def test_isic_2017(make):
    text = "image_id,melanoma,seborrheic_keratosis\na,1.0,0.0\nb,0.0,1.0\nc,0.0,0.0\n"
    source = make({"truth (1).csv": text}, "data/a.jpg", "data/b.jpg", "data/c.jpg", "data/a_superpixels.png")
    listing = list_source(source)
    assert (listing.layout, found(listing, "label")) == ("table", {"a": (1,), "b": (0,), "c": (0,)})
    said = "truth (1).csv has the columns of ISIC 2017 and is read with --id=image_id --label=melanoma"
    assert said in listing.notes


def test_isic_2017s_parts_are_its_splits(make):
    head = "image_id,melanoma,seborrheic_keratosis\n"
    tables = {
        f"ISIC-2017_{part}_Part3_GroundTruth.csv": f"{head}{part[0]},1,0\n{part[0]}2,0,0\n"
        for part in ("Training", "Validation", "Test_v2")
    }
    source = make(tables, *(f"{name}{i}.jpg" for name in "TV" for i in ("", "2")))
    listing = list_source(source)
    assert [item.reason for item in listing.quarantined] == 2 * [
        "contradictory rows in ISIC-2017_Test_v2_Part3_GroundTruth.csv and ISIC-2017_Training_Part3_GroundTruth.csv "
        "and ISIC-2017_Validation_Part3_GroundTruth.csv"
    ], "T lies in training and in test"
    assert found(listing, "given_split") == {"V": ("validation",), "V2": ("validation",)}


def test_isic_2020_is_grouped_by_patients(make):
    text = (
        "image_name;patient_id;sex;age_approx;anatom_site_general_challenge;diagnosis;benign_malignant;target\n"
        "a;IP_1;male;45.0;torso;melanoma;malignant;1\nb;IP_1;male;45.0;torso;unknown;benign;0\nc;;;;;nevus;benign;0\n"
    )
    listing = list_source(make({"train.csv": text}, "jpeg/train/a.jpg", "jpeg/train/b.jpg", "jpeg/train/c.jpg"))
    expected = {"a": (1, "IP_1"), "b": (0, "IP_1"), "c": (0, "")}
    assert found(listing, "label", "patient_id") == expected
    assert listing.records[0].localization == "torso"


def test_isic_2024s_target_is_malignant_so_its_diagnoses_are_read(make):
    text = (
        "isic_id,target,patient_id,lesion_id,iddx_full\n"
        "a,1,P1,L1,Malignant::Malignant melanocytic proliferations (Melanoma)::Melanoma in situ\n"
        'b,1,P1,,"Malignant::Malignant epidermal proliferations::Basal cell carcinoma::Basal cell carcinoma, Odd"\n'
        "c,0,P2,,Benign\nd,0,P2,,Indeterminate::Indeterminate melanocytic proliferations\n"
    )
    listing = list_source(make({"train-metadata.csv": text}, *(f"image/{name}.jpg" for name in "abcd")))
    assert found(listing, "label", "patient_id") == {"a": (1, "P1"), "b": (0, "P1"), "c": (0, "P2")}
    assert listing.quarantined[0].source_path == "image/d.jpg", "indeterminate is no negative"


def test_isic_cli_goes_from_the_narrowest_diagnosis_that_is_known(make):
    text = (
        "isic_id,diagnosis_1,diagnosis_2,diagnosis_3,image_type,lesion_id,patient_id\n"
        "a,Malignant,Malignant melanocytic proliferations (Melanoma),Melanoma Invasive,dermoscopic,IL_1,IP_1\n"
        "b,Benign,,,clinical: overview,,IP_1\nc,Benign,Benign melanocytic proliferations,Nevus,dermoscopic,,\n"
    )
    listing = list_source(make({"metadata.csv": text}, "a.jpg", "b.jpg", "c.jpg"))
    assert found(listing, "label", "lesion_id") == {"a": (1, "IL_1"), "b": (0, "b"), "c": (0, "c")}
    assert "not all are dermoscopic: dermoscopic (2), clinical: overview (1)" in listing.notes
    (source := make({"metadata.csv": text + "d,Malignant,,,dermoscopic,,\n"}, "d.jpg"))
    with pytest.raises(UserError, match=r"has 1 value that may mean melanoma or not: Malignant \(1\); say which with"):
        list_source(source)
    decided = list_source(source, choices=Choices(Decisions((), ("malignant",))))
    assert found(decided, "label")["d"] == (0,)


def test_pad_ufes_20(make):
    text = "patient_id\tlesion_id\tdiagnostic\timg_id\nPAT_1\t7\tMEL\tPAT_1_7_1.png\nPAT_1\t8\tNEV\tPAT_1_8_1.png\n"
    listing = list_source(make({"metadata.tsv": text}, "imgs_part_1/PAT_1_7_1.png", "imgs_part_2/PAT_1_8_1.png"))
    expected = {"PAT_1_7_1": (1, "7", "PAT_1"), "PAT_1_8_1": (0, "8", "PAT_1")}
    assert found(listing, "label", "lesion_id", "patient_id") == expected


def test_ph2_has_a_column_for_each_diagnosis(make):
    text = "Image Name,Common Nevus,Atypical Nevus,Melanoma\nIMD1,X,,\nIMD2,,X,\nIMD3,,,X\nIMD4,,,\nIMD5,X,,X\n"
    listing = list_source(make({"ph2.csv": text}, *(f"IMD{i}/IMD{i}.bmp" for i in range(1, 6))))
    assert found(listing, "label", "dx") == {
        "IMD1": (0, "Common Nevus"),
        "IMD2": (0, "Atypical Nevus"),
        "IMD3": (1, "Melanoma"),
    }
    assert [item.reason for item in listing.quarantined] == ["no diagnosis in ph2.csv", "contradictory rows in ph2.csv"]


def test_derm7pt_keeps_the_dermoscopic_photograph_even_where_only_the_clinical_one_is_there(make):
    text = (
        "case_num,diagnosis,clinic,derm\n1,melanoma (in situ),N/Aa1.jpg,N/Aa2.jpg\n2,blue nevus,N/NEL2.JPG,N/Nel2.jpg\n"
    )
    tables = {"meta/meta.csv": text, "meta/train_indexes.csv": "indexes\n0\n"}
    listing = list_source(make(tables, "images/N/Aa1.jpg", "images/N/Aa2.jpg", "images/N/NEL2.JPG"))
    assert found(listing, "label", "lesion_id") == {"Aa2": (1, "1")}
    clinical = "another photograph of the lesion, by column clinic of meta.csv"
    reasons = {item.source_path: item.reason for item in listing.quarantined}
    assert reasons["images/N/NEL2.JPG"] == clinical, "and not taken for Nel2.jpg, which is missing"
    assert reasons["meta/train_indexes.csv"] == "a table that was not used"
    assert "not used: meta/train_indexes.csv; --table=FILE reads a table" in listing.notes


def test_isic_2016_has_no_header(make):
    source = make({"truth.csv": "a,malignant\nb,benign\n"}, "data/a.jpg", "data/b.jpg", "data/c.jpg")
    with pytest.raises(UserError) as error:
        list_source(source)
    assert "the table truth.csv with no header and the first line a, malignant" in str(error.value)
    way = '--table="truth.csv" --id=1 --label=2 --positive=malignant (malignant is more than melanoma)'
    assert str(error.value).endswith(f"give {way}")
    choices = Choices(Decisions(("malignant",)), table="truth.csv", id_column="1", label_column="2")
    listing = list_source(source, choices=choices)
    assert found(listing, "label", "dx") == {"a": (1, "malignant"), "b": (0, "benign")}
    assert "2 of 3 files have a row in truth.csv" in listing.notes


def test_several_tables_may_be_named_and_their_names_tell_the_splits(make):
    tables = {"ISBI2016_Training_GroundTruth.csv": "a,malignant\nb,benign\n", "ISBI2016_Test_GroundTruth.csv": "c,0\n"}
    source = make(tables, "a.jpg", "b.jpg", "c.jpg")
    decisions = Decisions(("malignant", "1"), ("0",))
    listing = list_source(source, choices=Choices(decisions, (), ",".join(tables), "1", "2"))
    assert found(listing, "label", "given_split") == {"a": (1, "train"), "b": (0, "train"), "c": (0, "test")}
    assert choose_protocol("auto", listing.layout, has_splits=True) == "given"


def test_tables_of_two_sets_are_not_guessed_at(make):
    tables = {
        "a.csv": "image_id,melanoma,seborrheic_keratosis\na,1,0\n",
        "b.csv": "img_id,diagnostic\nb.png,NEV\n",
    }
    with pytest.raises(UserError, match=r"no known layout.*the table a\.csv .*; the table b\.csv .*--label=diagnostic"):
        list_source(make(tables, "a.png", "b.png"))


def test_a_table_of_unknown_columns_is_told_by_what_is_in_them(make):
    text = "picture_file\tobserver\tfinding\na.jpg\t7\tnv\nb.jpg\t7\tmelanoma\nc.jpg\t7\tnv\nd.jpg\t8\tnv\n"
    source = make({"findings.txt": text, "more.xlsx": "PK"}, "p/a.jpg", "p/b.jpg", "p/c.jpg", "p/d.jpg")
    with pytest.raises(UserError) as error:
        list_source(source)
    assert '--table="findings.txt" --id=picture_file --label=finding' in str(error.value)
    assert "more.xlsx, which is not read: save it as CSV" in str(error.value)


def test_a_table_that_says_nothing_is_said_to(make):
    with pytest.raises(UserError) as error:
        list_source(make({"prices.csv": "fruit,price\napple,3\npear,4\n"}, "a.jpg"))
    lacks = "and no column that has the names of the images and no column that is known to have diagnoses"
    assert f"the table prices.csv with the columns fruit, price, {lacks}" in str(error.value)
