import numpy as np
import pytest
from scipy.special import expit

from mole_jax.errors import UserError
from mole_jax.evaluation.external import evaluate_external
from mole_jax.evaluation.operating_points import choose_operating_points
from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.summary import evaluate


def drawn(prefix, n, *, seed, shift=0.0, share=0.4):
    random = np.random.default_rng(seed)
    label = (random.random(n) < share).astype(np.int64)
    logit = random.normal(1.5 * label - 1 + shift, 1.0)
    return Predictions(
        image_id=np.array([f"{prefix}{i}" for i in range(n)]), label=label, score=expit(logit), logit=logit
    )


@pytest.fixture
def validation():
    return drawn("v", 150, seed=1)


@pytest.fixture
def external():
    return drawn("e", 200, seed=2, shift=1.0, share=0.1)


def judge(external, validation, **options):
    return evaluate_external(
        external, validation=validation, points=choose_operating_points(validation), about={}, resamples=50, **options
    )


def test_the_estimates_are_those_of_a_test_set_with_the_runs_own_validation(external, validation):
    """`evaluate` on the two files, which is tested against independent references, must say the same."""
    ours, reference = judge(external, validation), evaluate(external, validation=validation, resamples=50)
    assert ours["splits"] == {"test": reference["splits"]["test"]}
    assert ours["operating_points"] == reference["operating_points"]


def test_no_threshold_and_no_scaling_comes_from_the_images_that_are_judged(external, validation):
    """Changing every external label changes neither."""
    turned = Predictions(image_id=external.image_id, label=1 - external.label, score=external.score)
    ours, others = judge(external, validation), judge(turned, validation)
    assert ours["operating_points"] == others["operating_points"]
    for fitted in ("temperature", "platt"):
        assert ours["splits"]["test"]["calibration"][fitted] == others["splits"]["test"]["calibration"][fitted], fitted


def test_what_is_known_of_run_and_data_stands_first(external, validation):
    ours = judge(external, validation, leaky=True, warnings=["LEAKAGE: 3 of 200 images"])
    assert (ours["leaky"], ours["protocol"], ours["warnings"][0]) == (True, "external", "LEAKAGE: 3 of 200 images")
    assert "test has no lesion_id" in ours["warnings"][1]
    assert judge(external, validation)["leaky"] is False


def test_one_class_alone_has_no_auroc_but_a_specificity(external, validation):
    moles = external.select(external.label == 0)
    test = judge(moles, validation)["splits"]["test"]
    assert test["auroc"]["reason"] == "only one class is present"
    assert 0 < test["operating_points"]["sensitivity_0.95"]["specificity"]["value"] < 1


def test_too_few_resamples_are_refused(external, validation):
    with pytest.raises(UserError, match="resamples=1 gives no interval"):
        evaluate_external(external, validation=validation, points=[], about={}, resamples=1)
