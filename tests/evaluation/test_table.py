import re

import numpy as np
import pytest

from mole_jax.evaluation.comparison import compare
from mole_jax.evaluation.comparison_table import format_comparison
from mole_jax.evaluation.operating_points import given_threshold
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.summary import evaluate, evaluate_run
from mole_jax.evaluation.table import format_estimate, format_table


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
    at = test["operating_points"]["accuracy"]
    estimates = [at[name] for name in ("accuracy", "precision", "sensitivity", "specificity", "f1")] + [test["auroc"]]
    assert lines[start].split()[1:] == [f"{estimate['value']:.3f}" for estimate in estimates]
    assert lines[start + 1].split() == [f"{estimate['low']:.3f}–{estimate['high']:.3f}" for estimate in estimates]


def test_says_what_it_is_about_and_fits_the_terminal(run):
    text = format_table(run)
    positives = run["splits"]["test"]["positives"]
    assert f"Test        300 images of 150 lesions, {positives} of them melanoma ({positives / 300:.1%})" in text
    assert "50 bootstrap resamples of lesions within class" in text
    assert "best accuracy of 1,000 thresholds in [0, 1), chosen on validation" in text
    assert "Train*" in text
    assert "Validation*" in text
    assert "Test*" not in text
    assert max(map(len, text.splitlines())) <= 108
    assert "LEAK" not in text
    for name in ("youden", "sensitivity >= 0.95", "Brier", "Slope", "temperature"):
        assert name in text


def test_leaky_is_loud_and_first(run):
    run["warnings"] = ["LEAKY: protocol 'paper' lets " + "copies " * 20]
    lines = format_table(run).splitlines()
    assert lines[0].startswith("!!! LEAKY: protocol 'paper'")
    assert lines[1].startswith("!!! copies")


def test_without_threshold_only_ranking(single):
    text = format_table(evaluate(single, resamples=20))
    assert "Accuracy" not in text
    assert "At other thresholds" not in text
    assert "No threshold, hence ranking alone: give validation predictions or a threshold." in text


def test_undefined_estimates_are_a_dash_never_a_number():
    one_class = Predictions(np.arange(5).astype(str), np.zeros(5, dtype=int), np.linspace(0, 0.4, 5))
    text = format_table(evaluate(one_class, threshold=0.5, resamples=20))
    row = next(line for line in text.splitlines() if line.startswith("Test ") and "images" not in line)
    assert row.split()[1:] == ["1.000", "–", "–", "1.000", "–", "–"]
    assert "nan" not in text.lower()
    assert "none" not in text.lower()


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
    assert "Holm-corrected" in text
    assert "take images of one lesion as independent" in text
    assert "No thresholds, hence nothing at thresholds" in text
    assert max(map(len, text.splitlines())) <= 108
