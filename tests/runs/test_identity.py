"""A run directory belongs to one run, one process and one dataset; its log survives a kill."""

import dataclasses
import json

import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.runs.directory import hold
from mole_jax.runs.identity import claim
from mole_jax.runs.log import Log


def test_a_second_process_is_refused(tmp_path):
    with hold(tmp_path), pytest.raises(UserError, match=r"another process is training in .*; wait for it or use"):
        hold(tmp_path).__enter__()
    with hold(tmp_path):
        pass


def test_claim_writes_what_the_run_is(tmp_path):
    claim(tmp_path, RunConfig(), fingerprint="abc", devices=["cpu"])
    assert RunConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == RunConfig()
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["dataset_fingerprint"] == "abc"
    assert environment["packages"]["jax"]
    assert environment["devices"] == ["cpu"]


def test_more_epochs_are_the_same_run_and_another_learning_rate_is_not(tmp_path):
    claim(tmp_path, RunConfig(), fingerprint="abc")
    claim(tmp_path, RunConfig(epochs=30), fingerprint="abc")
    with pytest.raises(
        UserError, match=r"another config \(learning_rate: 0.001 there, 0.1 now\); use another --run_dir"
    ):
        claim(tmp_path, RunConfig(learning_rate=0.1), fingerprint="abc")
    with pytest.raises(UserError, match=r"dataset 'synthetic' has changed .* \(fingerprint abc then, xyz now\)"):
        claim(tmp_path, RunConfig(), fingerprint="xyz")


def test_the_hash_leaves_out_what_does_not_change_a_step():
    assert (
        RunConfig().hash
        == dataclasses.replace(RunConfig(), epochs=3, run_dir="x", data_dir="y", checkpoint_every=9).hash
    )
    assert RunConfig().hash != RunConfig(seed=1).hash


def test_the_log_drops_later_steps_and_a_torn_line(tmp_path):
    with Log(tmp_path, resume_step=0) as log:
        for step in (1, 2, 3):
            log.write(step, {"train_loss": step / 10})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "train_')
    with Log(tmp_path, resume_step=2) as log:
        log.write(3, {"train_loss": 0.5})
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert rows == [{"step": 1, "train_loss": 0.1}, {"step": 2, "train_loss": 0.2}, {"step": 3, "train_loss": 0.5}]
    assert list(tmp_path.glob("events*"))


def test_fine_tuning_can_be_added_and_lengthened_but_its_beginning_cannot_be_moved(tmp_path):
    transfer = RunConfig(model="transfer", normalize="weights", epochs=5)
    claim(tmp_path, transfer, fingerprint="abc")
    claim(tmp_path, dataclasses.replace(transfer, epochs=6, finetune_epochs=1), fingerprint="abc")
    claim(tmp_path, dataclasses.replace(transfer, epochs=6, finetune_epochs=2), fingerprint="abc")
    with pytest.raises(UserError, match=r"epochs=7 would move the step at which fine-tuning begins, .* after epoch 6"):
        claim(tmp_path, dataclasses.replace(transfer, epochs=7, finetune_epochs=2), fingerprint="abc")


def test_other_weights_under_the_same_name_are_refused(tmp_path):
    transfer = RunConfig(model="transfer", weights="resnet50.h5")
    weights = {"file": "resnet50.h5", "sha256": "1234", "variant": "v1", "preprocessing": "keras"}
    claim(tmp_path, transfer, fingerprint="abc", weights=weights)
    assert json.loads((tmp_path / "environment.json").read_text())["weights"] == weights
    claim(tmp_path, transfer, fingerprint="abc", weights=weights)
    with pytest.raises(UserError, match=r"weights 'resnet50.h5' have changed .* \(sha256 1234 then, 5678 now\); use"):
        claim(tmp_path, transfer, fingerprint="abc", weights={**weights, "sha256": "5678"})


def test_a_run_from_before_a_field_existed_goes_on_with_its_default(tmp_path):
    claim(tmp_path, RunConfig(), fingerprint="abc")
    config = json.loads((tmp_path / "config.json").read_text())
    del config["dropout"], config["weights"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    claim(tmp_path, RunConfig(), fingerprint="abc")
