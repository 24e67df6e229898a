"""The table of the paper, and what it says about itself."""

import pytest

from mole_jax.evaluation.paper_results import implied, read_paper_results

CONCLUSIVE = ("mlp", "cnn", "transfer")
ROUNDING = 0.0025  # inputs are rounded to .001; what follows from three of them is off by a few times that


def solve(row):
    return implied(accuracy=row.accuracy, precision=row.precision, sensitivity=row.sensitivity)


def rows(reading, split):
    return [row for row in read_paper_results(reading) if row.model in CONCLUSIVE and row.split == split]


def test_has_every_model_and_split_in_both_readings():
    for reading in ("printed", "corrected"):
        table = read_paper_results(reading)
        assert [(row.model, row.split) for row in table] == [
            (model, split)
            for model in ("logistic", "mlp", "cnn", "transfer")
            for split in ("train", "validation", "test")
        ]
    headline = {row.model: (row.accuracy, row.auroc) for row in table if row.split == "test"}
    assert headline == {
        "logistic": (0.523, 0.521),
        "mlp": (0.632, 0.641),
        "cnn": (0.861, 0.943),
        "transfer": (0.809, 0.896),
    }


def test_corrected_reading_is_the_printed_one_with_columns_renamed():
    for printed, corrected in zip(read_paper_results("printed"), read_paper_results("corrected"), strict=True):
        assert corrected.sensitivity == printed.precision
        assert corrected.npv == printed.specificity
        assert (corrected.accuracy, corrected.f1, corrected.auroc) == (printed.accuracy, printed.f1, printed.auroc)
        misprint = (printed.model, printed.split) == ("transfer", "validation")
        assert corrected.precision == (0.803 if misprint else printed.sensitivity)
        assert corrected.specificity == pytest.approx(solve(corrected).specificity, abs=0.0005)


def test_implied_solves_a_confusion_matrix_worked_by_hand():
    # 40 true positives, 10 false positives, 20 false negatives, 30 true negatives.
    found = implied(accuracy=0.7, precision=0.8, sensitivity=40 / 60)
    assert found.prevalence == pytest.approx(0.6)
    assert found.specificity == pytest.approx(0.75)
    assert found.npv == pytest.approx(0.6)
    assert found.f1 == pytest.approx(80 / 110)


@pytest.mark.parametrize("split", ["validation", "test"])
def test_models_agree_on_the_share_of_melanomas_only_when_corrected(split):
    printed = [solve(row).prevalence for row in rows("printed", split)]
    corrected = [solve(row).prevalence for row in rows("corrected", split)]
    assert max(corrected) - min(corrected) < ROUNDING
    assert corrected == pytest.approx([0.51] * 3, abs=0.003)
    assert max(printed) - min(printed) > 0.2


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_corrected_rows_add_up(split):
    for row in rows("corrected", split):
        assert solve(row).npv == pytest.approx(row.npv, abs=ROUNDING)
        assert solve(row).f1 == pytest.approx(row.f1, abs=ROUNDING)
        assert solve(row).prevalence == pytest.approx(0.505, abs=0.006)


def test_with_half_melanomas_the_printed_specificity_appears_nowhere():
    printed, corrected = rows("printed", "test"), rows("corrected", "test")
    assert [row.model for row in printed] == list(CONCLUSIVE)
    for p, c in zip(printed, corrected, strict=True):
        as_printed = 1 - p.sensitivity * (1 - p.precision) / p.precision
        assert abs(as_printed - p.specificity) > 0.025
        false_positives = c.sensitivity * (1 - c.precision) / c.precision
        npv = (1 - false_positives) / (1 - false_positives + 1 - c.sensitivity)
        assert abs(npv - p.specificity) < 0.02


def test_transfer_validation_sensitivity_is_a_misprint():
    printed = next(row for row in read_paper_results("printed") if (row.model, row.split) == ("transfer", "validation"))
    assert abs(solve(printed).f1 - printed.f1) > 0.04
    f1, sensitivity = printed.f1, printed.precision
    assert f1 * sensitivity / (2 * sensitivity - f1) == pytest.approx(0.803, abs=0.002)
    assert "misprint" in printed.note


def test_logistic_regression_is_marked_inconclusive():
    for reading in ("printed", "corrected"):
        for row in read_paper_results(reading):
            assert ("inconclusive" in row.note) == (row.model == "logistic")
    test = next(row for row in read_paper_results("printed") if (row.model, row.split) == ("logistic", "test"))
    assert abs(solve(test).f1 - test.f1) > ROUNDING
