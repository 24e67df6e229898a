"""Scores as people and programs write them; what is not certain is refused."""

import numpy as np
import pytest

from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions


def read(write, scores, *, separator=";"):
    rows = [f"i{i}{separator}{i % 2}{separator}{score}" for i, score in enumerate(scores)]
    return read_predictions(write(separator.join(("image_id", "label", "score")) + "\n" + "\n".join(rows) + "\n"))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["0,25", "0,5"], [0.25, 0.5]),
        (["1,0", ",5"], [1.0, 0.5]),
        (["2,5e-1", "5E-01"], [0.25, 0.5]),
        (["[0.25]", "[0.5]"], [0.25, 0.5]),
        (["[[0.25]]", "(0.5)"], [0.25, 0.5]),
        (["tensor(0.25)", "tensor([0.5], device='cuda:0')"], [0.25, 0.5]),
        (["tensor(0.25, grad_fn=<SigmoidBackward0>)", "0.5"], [0.25, 0.5]),
        (["np.float32(0.25)", "array([0.5], dtype=float32)"], [0.25, 0.5]),
        (["25%", "50 %"], [0.25, 0.5]),
        (["25,0 %", "50,0 %"], [0.25, 0.5]),
        (["25", "50"], [0.25, 0.5]),
        (["2", "50", "100"], [0.02, 0.5, 1.0]),
        (["0", "1", "0.25"], [0, 1, 0.25]),
    ],
)
def test_numbers_as_they_are_written(write, texts, expected):
    np.testing.assert_allclose(read(write, texts).score, expected, rtol=1e-15)


def test_what_was_done_to_scores_is_said(write):
    assert read(write, ["25%", "50%"]).notes == ("scores with percent signs were divided by 100",)
    assert read(write, ["25", "50"]).notes == ("scores from 0 to 100 were taken as percent and divided by 100",)
    found = read(write, ["1.0000001192092896", "-1.19e-07", "0.5"])
    assert found.score.tolist() == [1.0, 0.0, 0.5]
    assert found.notes == ("2 scores were just outside [0, 1] (1.000000119) and clipped",)
    assert read(write, ["0,25", "0,5"]).notes == ()


@pytest.mark.parametrize(
    ("texts", "said"),
    [
        (["0.25", ""], "score of image i1 is missing; score every image"),
        (["nan", "0.5", "None"], "score of image i0 is missing, and 1 more"),
        (["0.25", "high"], "score 'high' of image i1 is not a number"),
        (["0.25", "[0.3, 0.7]"], "it holds 2 numbers: write the probability of melanoma alone"),
        (["0,25", "0.5"], "decimal commas and with decimal points; write all with points"),
        (["25%", "0.5"], "1 of 2 numbers in the column score have a percent sign and the others none"),
        (["1.234,5", "0,5"], "without marks between thousands"),
        (["-2.5", "3.5"], "lie between -2.5 and 3.5; .* pass logits through a sigmoid"),
        (["0.1", "0.2", "0.3", "73"], "lie between 0.1 and 73; write percent with its sign"),  # a slip, not percent
        (["0.5", "1.5", "2.5"], "lie between 0.5 and 2.5; write percent with its sign"),  # logits, or a rating
        (["0.5", "1.00001"], r"score 1.00001 of image i1 is not in \[0, 1\]"),
        (["25", "150"], "lie between 25 and 150"),
        (["0.25", "inf"], "score inf of image i1"),
    ],
)
def test_what_is_not_certain_is_refused_in_a_sentence(write, texts, said):
    with pytest.raises(UserError, match=said):
        read(write, texts)
