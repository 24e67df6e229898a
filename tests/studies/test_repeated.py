"""Several seeds of one config: an ensemble that reports, predicts and goes on like any run."""

import dataclasses
import re

import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.metrics import roc_auc_score

from mole_jax.classifier.storage import open_run
from mole_jax.config import RunConfig
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import read_predictions
from mole_jax.evaluation.table import format_table
from mole_jax.files.digest import file_sha256
from mole_jax.runs.members import members_of
from mole_jax.runs.read import read_runs
from mole_jax.studies.experiment import run_experiment
from mole_jax.studies.external import Request, validate
from mole_jax.studies.predict import as_ensemble
from mole_jax.studies.repeated import run_repeated


@pytest.fixture(scope="module")
def config(data_dir):
    return RunConfig(
        model="logistic", epochs=1, batch_size=10, learning_rate=1e-4, data_dir=str(data_dir), track="none", seed=3
    )


@pytest.fixture(scope="module")
def repeated(config, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "mine"
    return run_repeated(dataclasses.replace(config, run_dir=str(run_dir)), 2)


def test_scores_are_those_of_the_mean_logit_and_figures_those_of_each_seed(repeated):
    members = [read_predictions(repeated.run_dir / f"seeds/{seed}/predictions/test.csv") for seed in (3, 4)]
    together = read_predictions(repeated.run_dir / "predictions/test.csv")
    np.testing.assert_allclose(together.score, expit(np.mean([logit(each.score) for each in members], axis=0)))
    assert not np.array_equal(members[0].score, members[1].score)
    of_test = repeated.metrics["repeats"]["splits"]["test"]
    areas = [roc_auc_score(each.label, each.score) for each in members]
    assert repeated.metrics["repeats"]["seeds"] == [3, 4]
    np.testing.assert_allclose([auroc["value"] for auroc in of_test["auroc"]], areas)
    np.testing.assert_allclose(of_test["mean"]["value"], np.mean(areas))
    np.testing.assert_allclose(of_test["deviation"], abs(areas[0] - areas[1]) / np.sqrt(2))
    auroc = repeated.metrics["splits"]["test"]["auroc"]["value"]
    np.testing.assert_allclose(auroc, roc_auc_score(together.label, together.score))


def test_table_and_page_have_each_seed(repeated):
    (run,) = read_runs([repeated.run_dir], None)
    assert re.search(r"Over seeds .*\n─+\nseed 3 .*\n.*\nseed 4 .*\n.*\nmean ", format_table(run.metrics))
    page = repeated.report.read_text(encoding="utf-8")
    assert "Over seeds: mine" in page and "at most 1 epochs with each of 2 seeds" in page


def test_photographs_are_judged_by_the_ensembles_own_threshold(repeated):
    members = members_of(repeated.run_dir)
    decision = as_ensemble([open_run(member) for member in members], members).decision
    assert decision.point().threshold == repeated.metrics["operating_points"][decision.point().name]["threshold"]


def test_external_validation_takes_all_seeds(repeated, data_dir, tmp_path):
    prepare("other", layout="synthetic", protocol="external", examples=20, seed=1, data_dir=data_dir, workers=1)
    common = {"dataset": "other", "data_dir": data_dir, "split": "all", "overlap": "refuse"}
    common |= {"resamples": 20, "seed": 0}
    scores = []
    for run_dir in (repeated.run_dir, *members_of(repeated.run_dir)):
        folder, _ = validate(Request(run_dir=run_dir, out=tmp_path / str(len(scores)), **common))
        scores.append(read_predictions(folder / "predictions.csv").score)
    np.testing.assert_allclose(scores[0], expit(np.mean([logit(score) for score in scores[1:]], axis=0)))


def test_what_was_stopped_between_two_seeds_goes_on_and_ends_alike(repeated, config, tmp_path):
    mine = dataclasses.replace(config, run_dir=str(tmp_path / "mine"))

    def stop(line):
        if line.startswith("seed 4"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_repeated(mine, 2, report=False, on_ready=stop)
    with pytest.raises(UserError, match=r"is not finished; python -m experiments.run --config="):
        members_of(tmp_path / "mine")
    first = file_sha256(tmp_path / "mine/seeds/3/SHA256SUMS")
    said = []
    assert run_repeated(mine, 2, report=False, on_ready=said.append).metrics == repeated.metrics
    assert said[0] == f"seed 3 (1 of 2) is finished: {tmp_path / 'mine/seeds/3'}"
    assert file_sha256(tmp_path / "mine/seeds/3/SHA256SUMS") == first


def test_more_seeds_are_added_to_what_is_there(config, tmp_path):
    mine = dataclasses.replace(config, run_dir=str(tmp_path / "mine"))
    run_repeated(mine, 2, report=False)
    said = []
    more = run_repeated(mine, 3, report=False, on_ready=said.append)
    assert more.metrics["repeats"]["seeds"] == [3, 4, 5]
    assert ["is finished" in line for line in said] == [True, True, False]


def test_one_seed_and_several_do_not_share_a_directory(repeated, config, tmp_path):
    with pytest.raises(UserError, match="holds the runs of several seeds; go on with --seeds=N"):
        run_experiment(dataclasses.replace(config, run_dir=str(repeated.run_dir)))
    single = dataclasses.replace(config, run_dir=str(tmp_path / "one"))
    run_experiment(single, report=False)
    with pytest.raises(UserError, match="holds a run of one seed; go on with --seeds=1"):
        run_repeated(single, 2)


def test_an_ensemble_is_no_single_classifier(repeated):
    with pytest.raises(UserError, match=r"is the ensemble of several runs: open one of .*seeds, or score photographs"):
        open_run(repeated.run_dir)


def test_scores_that_depend_on_their_batch_have_no_ensemble(config, tmp_path):
    with pytest.raises(UserError, match="seeds=2: with normalize=batch a score depends on its batch"):
        run_repeated(dataclasses.replace(config, normalize="batch", run_dir=str(tmp_path / "mine")), 2)


def test_each_seed_draws_its_own_examples(config, tmp_path):
    few = dataclasses.replace(config, examples=12, run_dir=str(tmp_path / "mine"))
    metrics = run_repeated(few, 2, report=False).metrics
    assert list(metrics["splits"]) == ["validation", "test"]
    trained = [read_predictions(tmp_path / f"mine/seeds/{seed}/predictions/train.csv") for seed in (3, 4)]
    assert [each.n for each in trained] == [12, 12]
    assert set(trained[0].image_id) != set(trained[1].image_id)
