"""Labels from a file of their own."""

import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.evaluation.reading.columns import parse_columns
from mole_jax.vocabulary.diagnoses import Decisions

SUBMISSION = "image,MEL,NV\nISIC_1,0.25,0.75\nISIC_2,0.5,0.5\n"


def test_a_seven_class_submission_with_its_ground_truth(write):
    truth = write("image,MEL,NV,BCC\nISIC_2,1.0,0.0,0.0\nISIC_1,0.0,0.0,1.0\n", "truth.csv")
    found = read_predictions(write(SUBMISSION), truth=truth)
    assert (found.label.tolist(), found.score.tolist()) == ([0, 1], [0.25, 0.5])


def test_diagnoses_groups_and_metadata_come_with_the_truth(write):
    truth = write(
        "lesion_id,image_id,dx,age,patient_id\nL1,ISIC_2,mel,50,P\nL2,ISIC_1,nv,60,P\nL3,ISIC_3,bcc,70,Q\n", "truth.csv"
    )
    found = read_predictions(write(SUBMISSION), truth=truth)
    assert found.label.tolist() == [0, 1]
    assert found.lesion_id.tolist() == ["L2", "L1"]
    assert found.group.tolist() == ["P", "P"]
    assert found.metadata["age"].tolist() == ["60", "50"]
    assert any("has 1 images more, which have no score" in note for note in found.notes)


def test_a_kaggle_submission_calls_its_scores_target(write):
    truth = write("image_name,target\nb,1\na,0\n", "truth.csv")
    found = read_predictions(write("image_name,target\na,0.25\nb,0.5\n"), truth=truth)
    assert (found.label.tolist(), found.score.tolist()) == ([0, 1], [0.25, 0.5])


def test_ids_are_matched_as_people_rewrite_them(write):
    truth = write("image_id,label\nimages/isic_1.JPG,0\nimages/isic_2.jpg,1\n", "truth.csv")
    found = read_predictions(write(SUBMISSION), truth=truth)
    assert found.label.tolist() == [0, 1]
    assert any("2 without folder, ending and case" in note for note in found.notes)


def test_unknown_diagnoses_of_judged_images_are_left_out(write):
    truth = write("image_id,dx\nISIC_1,nv\nISIC_2,UNK\nISIC_3,UNK\n", "truth.csv")
    found = read_predictions(write(SUBMISSION), truth=truth)
    assert found.image_id.tolist() == ["ISIC_1"]
    assert [note for note in found.notes if "left out" in note] == [
        f"1 of 2 images have no known diagnosis in {truth} and are left out"
    ]


def test_decisions_and_columns_serve_the_truth(write):
    truth = write("name,class,who\nISIC_1,benign,A\nISIC_2,malignant,B\n", "truth.csv")
    columns = parse_columns(["label=class", "score=MEL", "group=who"])
    found = read_predictions(write(SUBMISSION), truth=truth, columns=columns, decisions=Decisions(("malignant",)))
    assert (found.label.tolist(), found.group.tolist()) == ([0, 1], ["A", "B"])


@pytest.mark.parametrize(
    ("truth", "columns", "said"),
    [
        ("image_id,label\nISIC_1,0\n", [], "no row for 1 of the 2 images of .*, first ISIC_2; its own ids are such as"),
        ("image_id,label\nISIC_1,0\nISIC_1,1\nISIC_2,1\n", [], "image ISIC_1 appears more than once"),
        ("label\n0\n1\n", [], "has no column of image ids, by which --truth joins"),
        ("image_id,label\nISIC_1,0\nISIC_2,1\n", ["group=ward"], "neither .* nor .* has a column ward"),
        ("image_id,size\nISIC_1,0\nISIC_2,1\n", [], "has no column of labels"),
    ],
)
def test_a_truth_that_does_not_fit_is_refused(write, truth, columns, said):
    with pytest.raises(UserError, match=said):
        read_predictions(write(SUBMISSION), truth=write(truth, "truth.csv"), columns=parse_columns(columns))
