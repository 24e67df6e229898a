import csv
import dataclasses

import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions, read_predictions, write_predictions
from mole_jax.evaluation.reading import table_file

GOOD = "image_id,label,score\na,0,0.25\nb,1,0.5\n"


@pytest.fixture
def write(tmp_path):
    def write(text, encoding="utf-8"):
        path = tmp_path / "test.csv"
        path.write_bytes(text.encode(encoding) if isinstance(text, str) else text)
        return path

    return write


def message(path):
    with pytest.raises(UserError) as caught:
        read_predictions(path)
    text = str(caught.value)
    assert "test.csv" in text
    assert "\n" not in text
    return text


def test_reads_the_required_columns(write):
    found = read_predictions(write(GOOD))
    assert found.image_id.tolist() == ["a", "b"]
    assert found.label.tolist() == [0, 1]
    assert found.score.tolist() == [0.25, 0.5]
    assert found.logit is None
    assert found.group.tolist() == ["a", "b"]


def test_reads_optional_columns_in_any_order_and_ignores_others(write):
    found = read_predictions(
        write("sex,score,label,other,lesion_id,image_id,logit\nmale,0.5,1.0,x,L1,a,0\n,0.5,0,,,b,0.0\n")
    )
    assert found.lesion_id.tolist() == ["L1", ""]
    assert found.group.tolist() == ["L1", "b"]  # an unknown lesion is the image's own
    assert found.logit.tolist() == [0, 0]
    assert {name: column.tolist() for name, column in found.metadata.items()} == {"sex": ["male", ""]}


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
@pytest.mark.parametrize("separator", [",", ";", "\t"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_reads_encodings_separators_and_blank_lines(write, encoding, separator, newline):
    text = GOOD.replace("a,", "ä,").replace(",", separator).replace("\n", newline) + newline
    assert read_predictions(write(text, encoding)).image_id.tolist() == ["ä", "b"]


def test_many_chunks_give_the_same_as_one(write, monkeypatch):
    path = write(
        "image_id,label,score,sex\n"
        + "".join(f"{'x' * (i % 7)}{i},{i % 2},{i / 50!r},{'m' * (i % 3)}\n" for i in range(50))
    )
    whole = read_predictions(path)
    monkeypatch.setattr(table_file, "ROWS_AT_A_TIME", 7)
    pieces = read_predictions(path)
    for field in ("image_id", "label", "score"):
        np.testing.assert_array_equal(getattr(whole, field), getattr(pieces, field))
    np.testing.assert_array_equal(whole.metadata["sex"], pieces.metadata["sex"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "is empty"),
        ("\n\n", "is empty"),
        ("image_id,label,score\n", "header but no rows"),
        (
            "image_id,guess,size\na,0,1\n",
            "no column of labels and no column of scores; its columns are image_id, guess, size",
        ),
        ("image_id,label,score,score\na,0,1,1\n", "the column score twice"),
        (GOOD + "c,1,1.5\n", "score 1.5 of image c is not in [0, 1]"),
        (GOOD + "c,1,-0.1\n", "score -0.1 of image c"),
        (GOOD + "c,1,nan\n", "the score of image c is missing; score every image"),
        (GOOD + "c,1,\n", "the score of image c is missing"),
        (GOOD + "c,1,high\n", "score 'high' of image c is not a number"),
        (
            GOOD + "c,2,0.5\n",
            "labels that are neither 0 (not melanoma) nor 1 (melanoma): 0 (1), 1 (1), 2 (1); say which mean",
        ),
        (GOOD + "c,mel,0.5\n", "has 2 values that may mean melanoma or not: 0 (1), 1 (1); say which with --positive"),
        (GOOD + "c,nan,0.5\n", "the label of image c is missing; give it one, or take out the row"),
        (GOOD + "a,1,0.5\na,1,0.5\n", "image a appears more than once (2 duplicate rows in all)"),
        (GOOD + ",1,0.5\n", "row 3 has an empty image_id"),
        (GOOD + "c,1\n", "the row that starts with 'c' has 2 cells but the header has 3"),
        (
            GOOD.replace(",", ";").replace("0.25", "0,25"),
            "the column score has numbers with decimal commas and with decimal points; write all with points",
        ),
    ],
)
def test_bad_text_is_told_with_value_and_image(write, text, expected):
    assert expected in message(write(text))


@pytest.mark.parametrize(
    ("logit", "said"), [("3.0", "such as 3.0, do not belong"), ("nan", "such as nan"), ("x", "'x'")]
)
def test_logits_that_belong_to_no_score_are_left_out_and_said(write, logit, said):
    found = read_predictions(write(f"image_id,label,score,logit\na,1,0.5,{logit}\n"))
    assert found.logit is None
    assert said in found.notes[0]
    assert "not used" in found.notes[0]
    good = Predictions(np.array(["a"]), np.array([1]), np.array([0.5]))
    with pytest.raises(UserError, match=r"logit 3\.0 of image a does not belong to its score 0\.5"):
        dataclasses.replace(good, logit=np.array([3.0]))


def test_latin1_is_told(write):
    assert "not UTF-8 text (byte 0xe4" in message(write(GOOD.replace("a,", "ä,"), "latin-1"))


def test_utf16_without_mark_and_spreadsheets_are_told(write):
    assert "not text" in message(write(GOOD, "utf-16-le"))
    assert "is a spreadsheet or another zip archive; save the sheet as CSV UTF-8" in message(
        write(b"PK\x03\x04\x00\x00")
    )


def test_unclosed_quote_is_told(write):
    assert "has 1 cells" in message(write('image_id,label,score\n"a,0,0.5\nb,1,0.5\n'))
    assert "is not a CSV file" in message(write('image_id,label,score\n"' + "a,0,0.5\n" * 40_000))


def test_missing_file_is_told(tmp_path):
    with pytest.raises(UserError, match=r"no predictions file at .*nowhere\.csv: it is not there; give a CSV"):
        read_predictions(tmp_path / "nowhere.csv")


def test_arrays_are_checked_like_files():
    good = {"image_id": np.array(["a", "b"]), "label": np.array([0, 1]), "score": np.array([0.1, 0.2])}
    for change, expected in [
        ({"score": np.array([0.1, 2.0])}, "score 2.0 of image b"),
        ({"label": np.array([0, 3])}, "label 3 of image b"),
        ({"metadata": {"colour": np.array(["x", "y"])}}, "metadata 'colour' is not one of age, sex"),
        ({name: value[:0] for name, value in good.items()}, "no images"),
    ]:
        with pytest.raises(UserError) as caught:
            Predictions(**{**good, **change})
        assert expected in str(caught.value)


def test_written_file_reads_back_bit_for_bit(tmp_path, make):
    rng = np.random.default_rng(3)
    original = make(300, digits=None, metadata={"sex": np.array(['fe,"male', "ü", ""] * 100)})
    logit = np.log(original.score / (1 - original.score)) + rng.normal(size=300) * 1e-12
    original = dataclasses.replace(original, logit=logit)
    write_predictions(tmp_path / "p.csv", original)
    found = read_predictions(tmp_path / "p.csv")
    for field in ("image_id", "label", "score", "logit", "lesion_id"):
        np.testing.assert_array_equal(getattr(found, field), getattr(original, field))
    np.testing.assert_array_equal(found.metadata["sex"], original.metadata["sex"])


def test_float32_scores_read_back_exactly(tmp_path):
    score = np.array([0.1, 1 / 3, 1e-30], dtype=np.float32)
    write_predictions(
        tmp_path / "p.csv", Predictions(np.array(["a", "b", "c"]), np.array([0, 1, 1], dtype=np.int32), score)
    )
    np.testing.assert_array_equal(read_predictions(tmp_path / "p.csv").score, score.astype(np.float64))


def test_interrupted_writing_leaves_the_old_file_alone(tmp_path, single, monkeypatch):
    path = tmp_path / "p.csv"
    write_predictions(path, single)
    before = path.read_bytes()

    def fail(*_, **__):
        raise OSError("disk full")

    monkeypatch.setattr(csv, "writer", fail)
    with pytest.raises(OSError, match="disk full"):
        write_predictions(path, single)
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["p.csv"]


def test_aligned_to_another_order(single):
    order = np.random.default_rng(0).permutation(single.n)
    shuffled = single.aligned_to(single.image_id[order])
    np.testing.assert_array_equal(shuffled.image_id, single.image_id[order])
    np.testing.assert_array_equal(shuffled.score, single.score[order])


def test_a_score_in_single_precision_meets_a_threshold_as_it_does_once_written(tmp_path):
    """0.7 as float32 is below 0.7 as float64: it must not be called by one and not by the other."""
    p = Predictions(
        np.array(["a", "b"]),
        np.array([0, 1]),
        np.array([0.1, 0.7], np.float32),
        logit=np.array([-2.2, 0.85], np.float32),
    )
    write_predictions(tmp_path / "p.csv", p)
    again = read_predictions(tmp_path / "p.csv")
    assert p.score.dtype == p.logit.dtype == np.float64
    for threshold in (0.7, np.float64(0.7), np.float64(np.float32(0.7))):
        assert ((p.score >= threshold) == (again.score >= threshold)).all()
    assert (p.score >= 0.7).tolist() == [False, False]
