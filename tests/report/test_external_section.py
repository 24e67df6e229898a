import html
import json
import re

import numpy as np

from mole_jax.evaluation.predictions import read_predictions
from mole_jax.evaluation.statistics.intervals import difference_of
from mole_jax.evaluation.summary import write_metrics
from mole_jax.report.page import write_report


def page_of(run):
    return html.unescape(write_report([run], run / "report.html").read_text())


def test_the_section_says_in_words_what_was_found(validated):
    run, metrics = validated()
    page, test = page_of(run), metrics["splits"]["test"]
    cells = test["operating_points"]["sensitivity_0.95"]["confusion"]
    assert "On other images" in page
    assert "run on elsewhere" in page
    lesions = test["by_lesion"]["maximum"]["operating_points"]["sensitivity_0.95"]["confusion"]
    melanomas = test["by_lesion"]["melanomas"]
    assert (
        f"100 images of {test['groups']} lesions; {test['positives']} images of {melanomas} lesions are melanoma "
        f"({test['positives'] / 100:.1%} of the images)."
    ) in page
    assert f"the run finds {cells['tp']} of the {test['positives']} images of melanomas, misses {cells['fn']}" in page
    assert (
        f"By lesion, called by the highest score of its images, it finds {lesions['tp']} of {melanomas} melanomas, "
        f"with false alarms at {lesions['fp']} of {test['groups'] - melanomas} other lesions."
    ) in page
    assert melanomas < test["positives"]
    assert f"raises {cells['fp']} false alarms among the {test['negatives']} other images" in page
    assert page.index("raises") < page.index("external-run-elsewhere-roc"), "words first"
    assert "Do not trust these figures" not in page
    for name in ("external-run-elsewhere-roc.svg", "external-run-elsewhere-calibration.svg"):
        assert (run / "figures" / name).is_file()


def test_the_mean_risk_in_words_is_that_of_the_scaled_scores(validated):
    run, metrics = validated()
    external = read_predictions(run / "external" / "elsewhere" / "predictions.csv")
    platt = metrics["splits"]["test"]["calibration"]["platt"]
    scaled = 1 / (1 + np.exp(-(platt["intercept"]["value"] + platt["slope"]["value"] * external.logit)))
    assert f"Platt-scaled risks average {scaled.mean():.1%} where" in page_of(run)


def test_numbers_as_csv_put_both_sets_side_by_side(validated):
    run, metrics = validated()
    page_of(run)
    lines = (run / "figures" / "external-run-elsewhere.csv").read_text().splitlines()
    assert lines[0] == (
        "group,measure,own_test,own_test_low,own_test_high,external,external_low,external_high,"
        "difference,difference_low,difference_high"
    )
    assert f",AUROC,{json.loads((run / 'metrics.json').read_text())['splits']['test']['auroc']['value']}," in lines[1]
    assert f",{metrics['splits']['test']['auroc']['value']}," in lines[1]
    own = json.loads((run / "metrics.json").read_text())["splits"]["test"]
    expected = difference_of(metrics["splits"]["test"]["auroc"], own["auroc"])
    assert lines[1].endswith(f",{expected['value']},{expected['low']},{expected['high']}")


def test_overlap_is_loud(validated):
    run, _ = validated(leaky=True)
    page = page_of(run)
    assert "run on elsewhere (leaky)" in page
    assert "Do not trust these figures." in page
    assert "LEAKAGE: 7 of 100 images are known to the run" in page


def test_results_of_other_thresholds_are_not_shown(validated):
    run, metrics = validated()
    metrics["operating_points"]["accuracy"]["threshold"] = 0.123
    write_metrics(run / "external" / "elsewhere" / "metrics.json", metrics)
    page = page_of(run)
    assert "These results are not of the run's present thresholds" in page
    assert "false alarms among" not in page


def test_without_results_there_is_no_section(plain_page):
    assert "On other images" not in plain_page.read_text()


def test_the_checklist_counts_an_external_validation_as_a_part(validated, plain_page):
    run, _ = validated()
    item = r"<tr class=\"is-{}\"><th scope=\"row\">TRIPOD\+AI 16</th>"
    assert re.search(item.format("partly"), page_of(run))
    assert re.search(item.format("missing"), html.unescape(plain_page.read_text()))
