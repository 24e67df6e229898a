"""Training from the seed to the predictions: it learns, resumes bit for bit, and refuses what does not fit."""

import dataclasses
import json
import os
import re
import signal

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.training import feed, loop
from mole_jax.training.epoch_metrics import NonFinite, epoch_metrics
from mole_jax.training.loop import Interrupted, Trained, train
from mole_jax.training.state import Sums

CNN = RunConfig(model="cnn", batch_size=4, epochs=1, bn_momentum=0.9, seed=5, augment="dihedral")
LOGISTIC = RunConfig(model="logistic", optimizer="sgd", learning_rate=0.001, batch_size=7, epochs=4)


def lines(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in rows]


def same(a, b):
    if isinstance(a, Trained):  # but for where the time went
        a, b = a._replace(timing={}), b._replace(timing={})
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_logistic_regression_learns_the_training_split(dataset, tmp_path):
    train(dataclasses.replace(LOGISTIC, epochs=20), dataset, tmp_path)
    losses = [row["epoch_train_loss"] for row in lines(tmp_path) if "epoch" in row]
    assert losses[-1] < 0.8 * losses[0]


@pytest.mark.slow
@pytest.mark.parametrize("config", [CNN, LOGISTIC], ids=["cnn", "logistic"])
def test_two_halves_are_the_whole_bit_for_bit(config, dataset, tmp_path):
    whole = train(dataclasses.replace(config, epochs=2 * config.epochs), dataset, tmp_path / "whole")
    train(config, dataset, tmp_path / "halves")
    halves = train(dataclasses.replace(config, epochs=2 * config.epochs), dataset, tmp_path / "halves")
    same(whole, halves)
    assert lines(tmp_path / "whole") == lines(tmp_path / "halves")


ADAM = {"optimizer": "adam", "schedule": "cosine", "warmup_epochs": 1, "ema": 0.9, "clip_norm": 1.0}


@pytest.mark.parametrize(("settings", "beside"), [({}, False), (ADAM, False), (ADAM, True)])
def test_sigterm_within_an_epoch_saves_and_the_next_start_goes_on_bit_for_bit(
    settings, beside, dataset, tmp_path, monkeypatch
):
    config = dataclasses.replace(LOGISTIC, **settings)
    monkeypatch.setattr(loop, "writes_beside", lambda: beside)
    whole = train(config, dataset, tmp_path / "whole")
    draw = feed.train_batches

    def terminate_at_third(*args, **kwargs):
        for count, batch in enumerate(draw(*args, **kwargs)):
            if count == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    monkeypatch.setattr(feed, "train_batches", terminate_at_third)
    with pytest.raises(Interrupted, match="saved at step 3 of 20; the same command goes on from there"):
        train(config, dataset, tmp_path / "broken")
    monkeypatch.undo()
    same(whole, train(config, dataset, tmp_path / "broken"))
    assert lines(tmp_path / "whole") == lines(tmp_path / "broken")


def test_predictions_come_from_the_best_epoch_not_the_last(dataset, tmp_path, monkeypatch):
    figures = loop.epoch_metrics
    scripted = iter([0.6, 0.9, 0.5, 0.4])
    monkeypatch.setattr(loop, "epoch_metrics", lambda *a, **k: {**figures(*a, **k), "validation_auroc": next(scripted)})
    best = train(LOGISTIC, dataset, tmp_path / "four")
    monkeypatch.undo()
    monkeypatch.setattr(
        loop, "epoch_metrics", lambda *a, **k: {**figures(*a, **k), "validation_auroc": k["labels"].size + a[0]}
    )
    same(best, train(dataclasses.replace(LOGISTIC, epochs=2), dataset, tmp_path / "two"))


def test_patience_ends_a_run_and_without_it_the_run_goes_on(dataset, tmp_path, monkeypatch):
    figures, scripted = loop.epoch_metrics, {5: 0.6, 10: 0.9, 15: 0.9, 20: 0.7, 25: 0.95}
    monkeypatch.setattr(loop, "epoch_metrics", lambda *a, **k: {**figures(*a, **k), "validation_auroc": scripted[a[0]]})
    config = dataclasses.replace(LOGISTIC, epochs=5)
    whole = train(config, dataset, tmp_path / "whole")
    impatient = dataclasses.replace(config, patience=2)
    stopped = train(impatient, dataset, tmp_path / "stopped")
    assert (whole.step, stopped.step) == (25, 15), "of equal epochs the last"
    assert lines(tmp_path / "stopped") == [row for row in lines(tmp_path / "whole") if row["step"] <= 20]
    told = "stops: no better validation AUROC in the last 2 epochs"
    assert told in (tmp_path / "stopped" / "train.log").read_text()
    same(stopped, train(impatient, dataset, tmp_path / "stopped"))
    same(whole, train(config, dataset, tmp_path / "stopped"))


def test_a_loss_that_is_not_finite_stops_the_run_naming_step_and_metric(dataset, tmp_path):
    config = dataclasses.replace(LOGISTIC, model="mlp", learning_rate=1e12)
    with pytest.raises(NonFinite, match=r"train_loss is (nan|inf) at step [1-9]; .*lower --learning_rate"):
        train(config, dataset, tmp_path)
    assert all(np.isfinite(row["train_loss"]) for row in lines(tmp_path))


def test_fewer_epochs_than_done_are_refused(dataset, tmp_path):
    train(LOGISTIC, dataset, tmp_path)
    with pytest.raises(
        UserError, match=r"epochs=2 is 10 steps, but the run in .* has already done 20: give at least --epochs=4"
    ):
        train(dataclasses.replace(LOGISTIC, epochs=2), dataset, tmp_path)


def test_a_checkpoint_of_another_model_is_refused_with_the_differences(dataset, tmp_path):
    train(LOGISTIC, dataset, tmp_path)
    with pytest.raises(UserError) as error:
        train(dataclasses.replace(LOGISTIC, model="mlp", l2=1e-4), dataset, tmp_path)
    message = str(error.value)
    assert "checkpoint of step 20" in message
    assert "only in the file: params/fc1/bias, params/fc1/kernel" in message
    assert re.search(r"\d+ only in the model: .*params/head/fc1/bias", message)
    assert "use another --run_dir" in message


def test_epoch_metrics_against_scikit_learn():
    from sklearn.metrics import accuracy_score, log_loss, roc_auc_score

    random = np.random.default_rng(0)
    labels, logits = random.integers(0, 2, 50), random.normal(size=50).astype(np.float32)
    sums = Sums(jnp.float32(20.0), jnp.float32(30.0), jnp.float32(40.0))
    figures = epoch_metrics(7, sums, labels=labels, logits=logits)
    score = 1 / (1 + np.exp(-logits))
    assert figures["epoch_train_loss"] == 0.5
    assert figures["epoch_train_accuracy"] == 0.75
    np.testing.assert_allclose(figures["validation_loss"], log_loss(labels, score), rtol=1e-5)
    np.testing.assert_allclose(figures["validation_accuracy"], accuracy_score(labels, score >= 0.5))
    np.testing.assert_allclose(figures["validation_auroc"], roc_auc_score(labels, score))
    ties = np.round(logits)
    tied = epoch_metrics(7, sums, labels=labels, logits=ties)["validation_auroc"]
    np.testing.assert_allclose(tied, roc_auc_score(labels, ties))
    assert np.isnan(epoch_metrics(7, sums, labels=np.zeros_like(labels), logits=logits)["validation_auroc"])
    with pytest.raises(NonFinite, match="validation logits are not finite at step 7"):
        epoch_metrics(7, sums, labels=labels, logits=logits * np.nan)
