import re

import numpy as np
import pytest

from mole_jax.evaluation.comparison import compare
from mole_jax.evaluation.comparison_table import format_comparison
from mole_jax.evaluation.operating_points import given_threshold
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.summary import evaluate, evaluate_run
from mole_jax.evaluation.table import format_bounds, format_estimate, format_table, size_text, threshold_text


@pytest.fixture
def run(make):
    names = ("train", "validation", "test")
    splits = {name: make(300, i, images_per_lesion=2, prefix=name) for i, name in enumerate(names)}
    return evaluate_run(splits, leaky=False, protocol="grouped", resamples=50)


def test_the_papers_table_with_intervals(run):
    text = format_table(run)
    head = next(line for line in text.splitlines() if "Accuracy" in line)
    assert head.split() == ["Accuracy", "Precision", "Sensitivity", "Specificity", "F1", "AUROC"]
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line.startswith("Test ") and "images" not in line)
    test = run["splits"]["test"]
    at = test["operating_points"]["sensitivity_0.95"]
    estimates = [at[name] for name in ("accuracy", "precision", "sensitivity", "specificity", "f1")] + [test["auroc"]]
    assert lines[start].split()[1:] == [f"{estimate['value']:.3f}" for estimate in estimates]
    assert lines[start + 1].split() == [f"{estimate['low']:.3f}–{estimate['high']:.3f}" for estimate in estimates]


def test_says_what_it_is_about_and_fits_the_terminal(run):
    text = format_table(run)
    positives = run["splits"]["test"]["positives"]
    assert (
        f"Test        300 images of 150 lesions; {positives} images of {positives // 2} lesions are melanoma "
        f"({positives / 300:.1%} of the images)"
    ) in text
    words = " ".join(text.split())
    assert "50 bootstrap resamples of lesions of any class" in words
    assert "highest threshold with sensitivity >= 0.95, chosen on validation" in words
    point = run["operating_points"]["sensitivity_0.95"]
    assert (
        f"A threshold so chosen on so many melanomas has on new lesions a sensitivity of {point['expected']:.3f} on "
        f"average, and falls short of 0.95 in {point['short']:.0%} of the cases."
    ) in words
    assert "DeLong takes images of one lesion as independent, which they are not here: too narrow." in words
    assert "The paper's: at its threshold, the one of best accuracy on validation." in text
    assert "Train*" in text
    assert "Validation*" in text
    assert "Test*" not in text
    assert max(map(len, text.splitlines())) <= 108
    assert "LEAK" not in text
    for name in ("youden", "sensitivity >= 0.9 ", "Platt", "Brier", "Slope", "O:E", "In the large", "temperature"):
        assert name in text


def test_leaky_is_loud_and_first(run):
    run["warnings"] = ["LEAKY: protocol 'paper' lets " + "copies " * 20]
    lines = format_table(run).splitlines()
    assert lines[0].startswith("!!! LEAKY: protocol 'paper'")
    assert lines[1].startswith("!!! copies")


def test_without_threshold_only_ranking(single):
    few = single.select((np.cumsum(single.label) <= 3) | (single.label == 0))
    text = format_table(evaluate(few, resamples=20))
    assert "Accuracy" not in text
    assert "At other thresholds" not in text
    assert "No threshold, hence ranking alone: give validation predictions or a threshold." in text


def test_undefined_estimates_are_a_dash_never_a_number():
    one_class = Predictions(np.arange(5).astype(str), np.zeros(5, dtype=int), np.linspace(0, 0.4, 5))
    text = format_table(evaluate(one_class, threshold=0.5, resamples=20))
    row = next(line for line in text.splitlines() if line.startswith("Test ") and "images" not in line)
    assert row.split()[1:] == ["1.000", "–", "–", "1.000", "–", "–"]
    assert "nan" not in text.lower()
    assert "None" not in text
    words = " ".join(text.split())
    assert "No Sensitivity, Avg. precision: there is no melanoma." in words
    assert "Slope: only one class is present." in words


def test_cross_fitted_numbers_say_so(clustered):
    found = evaluate(clustered, resamples=20)
    text = format_table(found)
    words = " ".join(text.split())
    folds = found["operating_points"]["sensitivity_0.95"]["folds"]
    low, high = threshold_text(min(folds)), threshold_text(max(folds))
    assert (
        "CROSS-FITTED: melanoma is called where the score reaches the highest threshold with sensitivity >= 0.95"
        in words
    )
    assert f"of the other folds ({low} to {high})" in words
    assert "cross-fitted in 5 folds of whole lesions" in words
    assert "at its threshold, the one of best accuracy, cross-fitted." in words
    for name in ("temperature", "Platt"):
        row = next(i for i, line in enumerate(text.splitlines()) if line.startswith(name))
        assert text.splitlines()[row + 1].startswith("cross-fitted")
    assert "new images: >= " in text
    assert max(map(len, text.splitlines())) <= 110


def test_costs_and_budgets_are_shown_where_they_are_asked_for(clustered):
    text = format_table(evaluate(clustered, costs=(20, 1), budgets=(60,), resamples=20))
    assert "Cost of an image, a miss 20, a false alarm 1" in text
    assert "60 images" in text
    assert "Cost of an image" not in format_table(evaluate(clustered, resamples=20))


def test_estimates_as_text():
    assert format_estimate({"value": 0.5, "low": 0.25, "high": 0.75}) == ("0.500", "0.250–0.750")
    assert format_estimate({"value": 0.5, "low": -0.25, "high": 0.75}) == ("0.500", "-0.250 to 0.750")
    assert format_estimate({"value": 0.5, "low": None, "high": None}) == ("0.500", "")
    assert format_estimate({"value": None}) == format_estimate(None) == ("–", "")


def test_comparison_shows_values_difference_and_tests(make):
    models = {"one": make(300, 1), "two": make(300, 1, digits=1)}
    found = compare(models, dict.fromkeys(models, given_threshold(0.4)), resamples=50)
    text = format_comparison(found)
    pair = found["pairs"][0]
    estimate = pair["difference"]["sensitivity"]
    values = [found["models"][name]["sensitivity"]["value"] for name in models]
    row = next(line for line in text.splitlines() if line.startswith("Sensitivity"))
    assert row.split()[1:4] == [f"{values[0]:.3f}", f"{values[1]:.3f}", f"{estimate['value']:+.3f}"]
    assert re.search(r"AUROC, DeLong +p = 0\.\d{3}", text)
    assert (
        f"({pair['mcnemar']['only_first_right']} only one right, {pair['mcnemar']['only_second_right']} only two)"
        in text
    )
    assert "Holm" not in text


def test_comparison_of_three_shows_holm_and_of_lesions_its_caution(make):
    models = {
        name: make(300, 1, images_per_lesion=2, digits=digits) for name, digits in (("a", None), ("b", 1), ("c", 0))
    }
    text = format_comparison(compare(models, resamples=50))
    assert "each model's threshold is cross-fitted in 5 folds" in text
    assert "Holm-corrected" in text
    assert "take images of one lesion as independent" in text
    few = {name: p.select((np.cumsum(p.label) <= 6) | (p.label == 0)) for name, p in models.items()}
    assert "no thresholds, hence nothing at thresholds" in format_comparison(compare(few, resamples=20))
    assert max(map(len, text.splitlines())) <= 108


def test_an_interval_never_reads_as_a_point():
    narrow = {"value": 7.02911, "low": 7.02908, "high": 7.02914}
    assert format_estimate(narrow) == ("7.02911", "7.02908–7.02914")
    assert format_bounds(narrow, sign="+") == ("+7.02908", "+7.02914")
    assert format_estimate({"value": 0.5, "low": 0.4998, "high": 0.5003}) == ("0.5000", "0.4998–0.5003")
    assert format_estimate({"value": 0.5, "low": 0.5, "high": 0.5}) == ("0.500000", "0.500000–0.500000")


@pytest.mark.parametrize(
    ("threshold", "text"),
    [(0.5, "0.500"), (0.1, "0.100"), (0.04567, "0.0457"), (0.000712, "0.000712"), (0.0, "0.000"), (3e-9, "3.00e-09")],
)
def test_small_thresholds_can_be_read(threshold, text):
    assert threshold_text(threshold) == text


def test_sizes_without_lesions(single):
    lonely = Predictions(single.image_id, single.label, single.score)
    of = evaluate(lonely, resamples=20)["splits"]["test"]
    assert size_text(of) == f"400 images, {single.label.sum()} of them melanoma ({single.label.mean():.1%})"


def test_thresholds_that_coincide_stand_in_one_row(make):
    p = make(60, seed=1)
    few = p.select((np.cumsum(p.label) <= 5) | (p.label == 0))
    text = format_table(evaluate(make(300), validation=few, resamples=20))
    row = next(line for line in text.splitlines() if line.startswith("sensitivity >= 0.9"))
    assert row.startswith("sensitivity >= 0.9, >= 0.98 ")
    assert "Melanoma is called where score >=" in text


def test_why_there_is_no_interval_is_on_the_screen(make):
    p = make(100, seed=1)
    few = p.select((np.cumsum(p.label) <= 7) | (p.label == 0))
    text = " ".join(format_table(evaluate(few, threshold=0.3, resamples=20)).split())
    assert (
        "No interval of F1, Avg. precision, Brier, Log loss, O:E, In the large, Slope, ECE: 7 lesions with melanoma"
        in text
    )
    assert "No interval of Partial AUROC: 7 lesions with melanoma; an interval needs 20." in text


def test_one_image_a_lesion_has_no_rows_by_lesion_and_no_caution(single):
    text = format_table(evaluate(single, threshold=0.3, resamples=20))
    assert "One score a lesion" not in text
    assert "** DeLong's own interval, for comparison with other software." in text


def test_comparison_of_several_pairs_says_what_is_not_adjusted(make):
    models = {name: make(300, 1, digits=digits) for name, digits in (("a", None), ("b", 1), ("c", 0))}
    text = format_comparison(compare(models, resamples=50))
    assert "Each interval is for itself, not adjusted for the number of pairs" in text
    assert "second opinions" not in text
    pair = format_comparison(compare({name: models[name] for name in "ab"}, resamples=50))
    assert "not adjusted" not in pair
