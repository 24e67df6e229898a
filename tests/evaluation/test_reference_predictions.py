"""Predictions that other people's models made on real images."""

import numpy as np
import pytest
import sklearn.metrics as sk

from mole_jax.evaluation.comparison import compare
from mole_jax.evaluation.predictions import read_predictions, write_predictions
from mole_jax.evaluation.summary import evaluate
from mole_jax.evaluation.table import format_table


@pytest.fixture
def read(test_data):
    return lambda name: read_predictions(test_data / "data" / "predictions" / f"{name}.csv")


@pytest.mark.parametrize(("name", "auroc"), [("ham10000_convnext", 0.9514), ("ham10000_swinv2", 0.9365)])
def test_ham10000(read, name, auroc):
    p = read(name)
    found = evaluate(p, threshold=0.5, resamples=300)["splits"]["test"]
    assert found["auroc"]["value"] == pytest.approx(auroc, abs=5e-5)
    assert found["auroc"]["value"] == pytest.approx(sk.roc_auc_score(p.label, p.score), rel=1e-12)
    assert found["auroc_delong"]["value"] == pytest.approx(found["auroc"]["value"], rel=1e-12)
    assert (found["images"], found["positives"], found["groups"]) == (1490, 159, 1121)
    assert found["mixed_groups"] == 0
    assert (found["by_lesion"]["lesions"], found["by_lesion"]["melanomas"]) == (1121, 92)
    sex = {row["level"]: row["images"] for row in found["subgroups"]["sex"]}
    assert sex == {"male": 833, "female": 650, "unknown": 7}
    # Several images of a lesion are alike: taking them as independent is too sure.
    by_lesion, by_image = (found[name]["high"] - found[name]["low"] for name in ("auroc", "auroc_delong"))
    assert by_lesion > 1.1 * by_image


def test_paired_comparison_of_the_two(read):
    found = compare({"convnext": read("ham10000_convnext"), "swinv2": read("ham10000_swinv2")}, resamples=300)
    estimate = found["pairs"][0]["difference"]["auroc"]
    assert estimate["value"] == pytest.approx(0.9514 - 0.9365, abs=1e-4)
    assert found["pairs"][0]["delong"]["p_value"] < 0.05 < found["pairs"][0]["auroc_test"]["p_value"]
    assert estimate["low"] < 0 < estimate["high"]


def test_isic2017_with_many_ties(read):
    p = read("isic2017_ties")
    assert len(np.unique(p.score)) == 22
    found = evaluate(p, resamples=100)
    assert found["splits"]["test"]["auroc"]["value"] == pytest.approx(0.52599, abs=5e-6)
    assert found["splits"]["test"]["grouped_by"] == "image_id"
    assert "has no lesion_id" in format_table(found)


def test_real_files_survive_a_round_trip(read, tmp_path):
    p = read("ham10000_convnext")
    write_predictions(tmp_path / "p.csv", p)
    again = read_predictions(tmp_path / "p.csv")
    np.testing.assert_array_equal(again.score, p.score)
    assert list(again.metadata) == list(p.metadata) == ["age", "sex", "localization", "dx_type"]
