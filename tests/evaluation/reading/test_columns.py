"""Columns by the names that others give them, or as the user says."""

import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.evaluation.reading.columns import NAMES, parse_columns


@pytest.mark.parametrize(
    "header",
    [
        "image_id,y_true,y_prob",
        "Image,Target,Probability",
        "isic_id,label,MEL",
        "image_name,target,melanoma",
        "filename,ground_truth,prob_1",
        "img_id,truth,y_score",
        "file,dx,score",
        "path,y,p_melanoma",
    ],
)
def test_known_names(write, header):
    labels = ("nv", "mel") if ",dx," in header else ("0", "1")
    found = read_predictions(write(f"{header}\na,{labels[0]},0.25\nb,{labels[1]},0.5\n"))
    assert (found.image_id.tolist(), found.label.tolist(), found.score.tolist()) == (["a", "b"], [0, 1], [0.25, 0.5])


def test_what_was_read_as_what_is_said(write):
    found = read_predictions(write("image,target,MEL,NV\na,0,0.25,0.75\nb,1,0.5,0.5\n"))
    assert found.notes == ("read image as image_id, target as label, MEL as score; --columns names others",)


def test_probabilities_go_before_decisions(write):
    found = read_predictions(write("image_id,y_true,y_pred,y_prob\na,0,0,0.25\nb,1,1,0.5\n"))
    assert found.score.tolist() == [0.25, 0.5]


def test_melanoma_is_the_label_where_scores_have_a_better_name(write):
    found = read_predictions(write("image,melanoma,y_prob\na,0,0.25\nb,1,0.5\n"))
    assert (found.label.tolist(), found.score.tolist()) == ([0, 1], [0.25, 0.5])


def test_rows_without_ids_are_numbered_and_it_is_said(write):
    found = read_predictions(write("y_true,y_prob\n0,0.25\n1,0.5\n"))
    assert found.image_id.tolist() == ["row 1", "row 2"]
    assert found.numbered
    assert found.notes[-1].startswith("the images have no ids, so rows stand for them")


def test_columns_as_the_user_says(write):
    path = write("x,y,z,score,case,ward\na,0,0.25,9,P,W\nb,1,0.5,9,P,W\nc,1,0.75,9,Q,V\n")
    found = read_predictions(path, columns=parse_columns(["id=x", "label=Y", "score=z", "group=case"]))
    assert (found.image_id.tolist(), found.score.tolist()) == (["a", "b", "c"], [0.25, 0.5, 0.75])
    assert (found.group.tolist(), found.unit, found.groups.unit) == (["P", "P", "Q"], "group", "group")


def test_several_groups_are_what_any_of_them_connects(write):
    path = write("image_id,label,score,a,b\n1,0,0.1,A,X\n2,0,0.2,A,Y\n3,1,0.3,B,Y\n4,1,0.4,C,Z\n5,0,0.5,nan,Z\n")
    found = read_predictions(path, columns=parse_columns(["group=a", "group=b"]))
    assert found.group[0] == found.group[1] == found.group[2] != found.group[3] == found.group[4]


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["score"], "'score' is not ROLE=COLUMN"),
        (["colour=x"], "'colour=x' is not ROLE=COLUMN with one of the roles id, label, score"),
        (["score=a", "score=b"], "--columns names score twice"),
    ],
)
def test_what_is_no_column_is_told(texts, said):
    with pytest.raises(UserError, match=said):
        parse_columns(texts)


@pytest.mark.parametrize(
    ("text", "columns", "said"),
    [
        ("a,b\n1,2\n", [], "no column of labels and no column of scores; its columns are a, b; give --truth=FILE"),
        ("image,MEL,NV\na,.1,.9\n", [], r"no column of labels \(its scores are MEL\)"),
        ("image_name,target\na,0.3\n", [], "if target holds the scores, give --truth=FILE with the labels"),
        ("ISIC_1,0,0.3\nISIC_2,1,0.4\n", [], r"begins with a row of data \(ISIC_1, 0, 0.3\)"),
        ("image_id,label,score\na,0,0.1\n", ["score=prob"], "has no column prob, which --columns names"),
        ("image_id,label,score,Score\na,0,0.1,0.2\n", [], "has the column score twice"),
    ],
)
def test_columns_that_are_missing_are_told_with_the_way_out(write, text, columns, said):
    with pytest.raises(UserError, match=said):
        read_predictions(write(text), columns=parse_columns(columns))


def test_an_optional_column_that_is_there_twice_stops_nothing(write):
    found = read_predictions(write("image_id,label,score,age,age\na,0,0.1,5,6\n"))
    assert "age" not in found.metadata
    assert found.notes == ("the column age is there twice and not used",)


def test_names_are_written_as_they_are_compared():
    from mole_jax.vocabulary.words import plain

    for role, names in NAMES.items():
        assert len(set(names)) == len(names), role
        assert all(plain(name) == name for name in names), role
