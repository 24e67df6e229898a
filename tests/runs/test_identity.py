"""A run directory belongs to one run, one process and one dataset; its log survives a kill."""

import dataclasses
import json
import logging

import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.runs.directory import hold
from mole_jax.runs.identity import Identity, refuse_another_run, write_identity
from mole_jax.runs.log import Log

TRANSFER = RunConfig(model="transfer", normalize="weights", epochs=5)


def start(run_dir, config=RunConfig(), fingerprint="abc", weights=None):  # noqa: B008
    identity = Identity(config, fingerprint, weights)
    refuse_another_run(run_dir, identity)
    write_identity(run_dir, identity, devices=["cpu"])


def test_a_second_process_is_refused(tmp_path):
    with hold(tmp_path), pytest.raises(UserError, match=r"another process is training in .*; wait for it or use"):
        hold(tmp_path).__enter__()
    with hold(tmp_path):
        pass


def test_a_directory_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"'.*/file' is a file, not a folder; give another --run_dir"):
        hold(tmp_path / "file" / "run").__enter__()


def test_a_link_in_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "mine").write_text("keep")
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / ".lock").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match=r"cannot write below"):
        hold(tmp_path / "run").__enter__()
    assert (tmp_path / "mine").read_text() == "keep"


def test_a_start_writes_what_the_run_is(tmp_path):
    start(tmp_path)
    assert RunConfig.from_dict(json.loads((tmp_path / "config.json").read_text())) == RunConfig()
    environment = json.loads((tmp_path / "environment.json").read_text())
    assert environment["dataset_fingerprint"] == "abc"
    assert environment["packages"]["jax"]
    assert environment["devices"] == ["cpu"]


def test_more_epochs_are_the_same_run_and_another_learning_rate_is_not(tmp_path):
    start(tmp_path)
    start(tmp_path, RunConfig(epochs=30))
    before = (tmp_path / "config.json").read_text()
    with pytest.raises(
        UserError, match=r"another config \(learning_rate: 0.001 there, 0.1 now\); use another --run_dir"
    ):
        start(tmp_path, RunConfig(learning_rate=0.1))
    with pytest.raises(UserError, match=r"dataset 'synthetic' has changed .* \(fingerprint abc then, xyz now\)"):
        start(tmp_path, fingerprint="xyz")
    assert (tmp_path / "config.json").read_text() == before, "a refusal changes nothing"


def test_the_hash_leaves_out_what_does_not_change_a_step_and_what_is_as_by_default():
    same = dataclasses.replace(RunConfig(), epochs=3, run_dir="x", data_dir="y", checkpoint_every=9)
    assert RunConfig().hash == same.hash
    assert RunConfig().hash != RunConfig(seed=1).hash
    assert len({RunConfig(seed=1).hash, RunConfig(batch_size=1).hash}) == 2


def test_where_a_schedule_leads_to_the_last_epoch_their_number_is_part_of_what_a_run_is(tmp_path):
    cosine = RunConfig(schedule="cosine", epochs=10)
    assert cosine.hash != RunConfig(schedule="cosine", epochs=11).hash
    assert RunConfig(warmup_epochs=1, epochs=10).hash == RunConfig(warmup_epochs=1, epochs=11).hash
    start(tmp_path, cosine)
    start(tmp_path, dataclasses.replace(cosine, patience=3))
    with pytest.raises(
        UserError,
        match=r"schedule='cosine' leads to the last epoch, so that another number of them changes every step of the "
        r"run in .* \(epochs: 10 there, 20 now\); use another --run_dir",
    ):
        start(tmp_path, dataclasses.replace(cosine, epochs=20))
    with pytest.raises(UserError, match=r"another config \(schedule: 'cosine' there, 'constant' now\)"):
        start(tmp_path, RunConfig(epochs=10))


def test_runs_of_earlier_releases_keep_their_names():
    assert RunConfig().name == "cnn-synthetic-44136fa3"
    old = {"batch_size": 64, "epochs": 4, "bn_momentum": 0.9, "augment": "dihedral"}
    assert RunConfig(model="cnn", **old).name == "cnn-synthetic-9112f88d"


def test_the_log_drops_later_steps_and_a_torn_line_and_keeps_what_people_were_told(tmp_path, caplog):
    with Log(tmp_path, RunConfig(), resume_step=0) as log, caplog.at_level(logging.INFO):
        for step in (1, 2, 3):
            log.write(step, {"train_loss": step / 10})
        log.write(2, {"epoch": 1, "validation_auroc": 0.5})
        log.tell("epoch 1 of 2")
    assert "epoch 1 of 2" in caplog.text
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 4, "train_')
    with Log(tmp_path, RunConfig(), resume_step=2) as log:
        assert [epoch["validation_auroc"] for epoch in log.epochs] == [0.5]
        log.write(3, {"train_loss": 0.5})
        log.tell("goes on at step 2 of 4")
    rows = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [row.get("train_loss") for row in rows] == [0.1, 0.2, None, 0.5]
    assert list(tmp_path.glob("events*"))
    told = (tmp_path / "train.log").read_text().splitlines()
    assert [line[20:] for line in told] == ["epoch 1 of 2", "goes on at step 2 of 4"]


def test_fine_tuning_can_be_added_and_lengthened_but_its_beginning_cannot_be_moved(tmp_path):
    start(tmp_path, TRANSFER)
    start(tmp_path, dataclasses.replace(TRANSFER, epochs=6, finetune_epochs=1))
    start(tmp_path, dataclasses.replace(TRANSFER, epochs=6, finetune_epochs=2))
    with pytest.raises(UserError, match=r"epochs=7 would move the step at which fine-tuning begins, .* after epoch 6"):
        start(tmp_path, dataclasses.replace(TRANSFER, epochs=7, finetune_epochs=2))


def test_other_weights_under_the_same_name_are_refused(tmp_path):
    transfer = RunConfig(model="transfer", weights="resnet50.h5")
    weights = {"file": "resnet50.h5", "sha256": "1234", "variant": "v1", "preprocessing": "keras"}
    start(tmp_path, transfer, weights=weights)
    assert json.loads((tmp_path / "environment.json").read_text())["weights"] == weights
    start(tmp_path, transfer, weights=weights)
    with pytest.raises(UserError, match=r"weights 'resnet50.h5' have changed .* \(sha256 1234 then, 5678 now\); use"):
        start(tmp_path, transfer, weights={**weights, "sha256": "5678"})


def test_a_run_from_before_a_field_existed_goes_on_with_its_default(tmp_path):
    start(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    del config["dropout"], config["weights"], config["backbone"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    start(tmp_path)


@pytest.mark.parametrize("name", ["config.json", "environment.json"])
@pytest.mark.parametrize("content", ["{", "[]", ""])
def test_a_file_of_another_shape_is_named(tmp_path, name, content):
    start(tmp_path)
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=rf"{name} is damaged \(.*\); use another --run_dir"):
        start(tmp_path)
