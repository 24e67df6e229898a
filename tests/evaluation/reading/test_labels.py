"""Labels by what they say; what may mean melanoma or not is decided by the user."""

import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.vocabulary.diagnoses import Decisions


def read(write, labels, **decisions):
    rows = "".join(f"i{i},{label},0.{i + 1}\n" for i, label in enumerate(labels))
    return read_predictions(write(f"image_id,label,score\n{rows}"), decisions=Decisions(**decisions))


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (["0", "1"], [0, 1]),
        (["0.0", "1.0"], [0, 1]),
        (["-1", "1"], [0, 1]),
        (["False", "True"], [0, 1]),
        (["f", "T"], [0, 1]),
        (["no", "YES"], [0, 1]),
        (["negative", "positive"], [0, 1]),
        (["0", "True"], [0, 1]),
        (["[0]", "tensor(1)"], [0, 1]),
        (["nv", "mel"], [0, 1]),
        (["Nevus", "Melanoma in situ", "BCC", "lentigo maligna"], [0, 1, 0, 1]),
        (["not_melanoma", "melanoma"], [0, 1]),
    ],
)
def test_labels_that_say_what_they_are(write, labels, expected):
    assert read(write, labels).label.tolist() == expected


@pytest.mark.parametrize(
    ("labels", "decisions", "expected"),
    [
        (["1", "2"], {"positive": ("2",)}, [0, 1]),
        (["1", "2"], {"positive": ("1",)}, [1, 0]),
        (["0", "1"], {"positive": ("0",)}, [1, 0]),
        (["4", "5", "4.0"], {"positive": ("4",)}, [1, 0, 1]),
        (["-1", "1"], {"positive": ("-1",)}, [1, 0]),
        (["benign", "malignant"], {"positive": ("malignant",)}, [0, 1]),
        (["0", "4", "6"], {"positive": ("4",), "negative": ("0", "6")}, [0, 1, 0]),
        (["A", "B"], {"positive": ("b",)}, [0, 1]),
    ],
)
def test_labels_as_the_user_decides(write, labels, decisions, expected):
    assert read(write, labels, **decisions).label.tolist() == expected


def test_unknown_diagnoses_are_left_out_and_counted(write):
    found = read(write, ["nv", "UNK", "mel", "indeterminate"])
    assert found.image_id.tolist() == ["i0", "i2"]
    assert found.score.tolist() == [0.1, 0.3]
    assert found.notes == ("2 of 4 images have no known diagnosis (UNK, indeterminate) and are left out",)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (["1", "2"], r"1 \(1\), 2 \(1\); say which mean melanoma with --positive=NUMBER"),
        (["0", "1", "2"], "where there are more than two, which do not with --negative"),
        (["0.8", "0.1"], r"0.1 \(1\), 0.8 \(1\); soft labels and scores are no truth"),
        (["0", ""], "the label of image i1 is missing"),
        (["nan", "1", "nan"], "the label of image i0 is missing, and 1 more"),
        (["benign", "malignant"], r"may mean melanoma or not: malignant \(1\); say which with --positive"),
        (["nv", "zebra"], r"may mean melanoma or not: zebra \(1\)"),
    ],
)
def test_labels_that_may_mean_anything_are_refused(write, labels, said):
    with pytest.raises(UserError, match=said):
        read(write, labels)


def test_numbers_beyond_those_decided_are_refused(write):
    with pytest.raises(UserError, match=r"may mean melanoma or not: 5 \(1\), 6 \(1\)"):
        read(write, ["4", "5", "6"], positive=("4",))
