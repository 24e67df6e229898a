"""The training split on the device: the loader's batches, the same run, and a clear word where it does not fit."""

import dataclasses
import json
import os
import signal
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.data.loader import train_batches
from mole_jax.errors import UserError
from mole_jax.placement import one_device
from mole_jax.training import device_data, phases
from mole_jax.training.device_data import belongs_on_device, from_device
from mole_jax.training.epoch_metrics import NonFinite
from mole_jax.training.loop import Interrupted, train
from mole_jax.training.state import TrainState, no_sums

LOGISTIC = RunConfig(model="logistic", optimizer="sgd", learning_rate=0.001, batch_size=7, epochs=4)
CNN = RunConfig(model="cnn", batch_size=4, epochs=2, bn_momentum=0.9, augment="dihedral")


def on(config):
    return dataclasses.replace(config, data_on_device="on")


def lines(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in rows]


def close(a, b, tolerance=1e-4):
    for ours, theirs in ((a.variables, b.variables), (a.logits, b.logits)):
        jax.tree.map(lambda x, y: np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance), ours, theirs)


@pytest.mark.parametrize("balance", ["none", "sampler"])
@pytest.mark.parametrize("start", [0, 3])
def test_the_batches_are_those_of_the_loader(dataset, monkeypatch, balance, start):
    monkeypatch.setattr(device_data, "STRETCH", 28)  # four steps
    config = RunConfig(batch_size=7, balance=balance)
    source, labels, end = dataset.splits["train"], dataset.labels["train"], 12

    def remember(state, batch):
        seen = {name: values.at[state.step].set(batch[name]) for name, values in state.params.items()}
        return state._replace(step=state.step + 1, params=seen), state.step.astype(jnp.float32)

    seen = {"image": jnp.zeros((end, 7, 224, 224, 3), jnp.uint8), "label": jnp.zeros((end, 7), int)}
    state = TrainState(jnp.int32(start), {**seen, "mask": jnp.zeros((end, 7), bool)}, {}, (), no_sums())
    placement = one_device()
    state = placement.state(state)
    feed = from_device(
        remember, source, labels, config, placement=placement, shapes=placement.shapes(state), start=start
    )
    losses = []
    while start + len(losses) < end:
        state, of_steps = feed(state, end if start + len(losses) >= 5 else 5)
        losses += of_steps.tolist()
    assert losses == list(range(start, end))
    batches = train_batches(source, labels, batch_size=7, start=start, end=end, seed=0, balance=balance)
    for step, batch in enumerate(batches, start):
        for name, values in batch.items():
            np.testing.assert_array_equal(state.params[name][step], values)


@pytest.mark.slow
@pytest.mark.parametrize("config", [LOGISTIC, CNN], ids=["logistic", "cnn"])
def test_a_run_is_the_same_up_to_rounding(config, dataset, tmp_path):
    a = train(dataclasses.replace(config, data_on_device="off"), dataset, tmp_path / "off")
    b = train(on(config), dataset, tmp_path / "on")
    close(a, b)
    for off, same in zip(lines(tmp_path / "off"), lines(tmp_path / "on"), strict=True):
        assert off == pytest.approx(same, rel=1e-3, abs=1e-3)


@pytest.mark.parametrize("diagnosis_weight", [0.0, 1.0])
def test_stored_features_go_there_too(dataset, tiny, tmp_path, diagnosis_weight):
    config = RunConfig(model="transfer", weights="random", normalize="weights", head="linear", batch_size=8, epochs=3)
    config = dataclasses.replace(config, diagnosis_weight=diagnosis_weight)
    a = train(config, dataset, tmp_path / "off", pretrained=tiny)
    close(a, train(on(config), dataset, tmp_path / "on", pretrained=tiny))


def test_halves_and_a_broken_run_are_the_whole_bit_for_bit(dataset, tmp_path, monkeypatch):
    monkeypatch.setattr(device_data, "STRETCH", 14)  # two steps
    whole = train(on(LOGISTIC), dataset, tmp_path / "whole")
    train(on(dataclasses.replace(LOGISTIC, epochs=2)), dataset, tmp_path / "halves")
    halves = train(on(LOGISTIC), dataset, tmp_path / "halves")
    calls = []

    def terminate(*args, **kwargs):
        feed = from_device(*args, **kwargs)

        def terminating(*of_call):
            calls.append(of_call)
            if len(calls) == 2:
                os.kill(os.getpid(), signal.SIGTERM)
            return feed(*of_call)

        return terminating

    with monkeypatch.context() as patch:
        patch.setattr(phases, "from_device", terminate)
        with pytest.raises(Interrupted, match="saved at step 4 of 20"):
            train(on(LOGISTIC), dataset, tmp_path / "broken")
    broken = train(on(LOGISTIC), dataset, tmp_path / "broken")
    for other, name in ((halves, "halves"), (broken, "broken")):
        # But for where the time went.
        jax.tree.map(np.testing.assert_array_equal, whole._replace(timing={}), other._replace(timing={}))
        assert lines(tmp_path / name) == lines(tmp_path / "whole")


def test_a_loss_that_is_not_finite_is_found_within_a_stretch(dataset, tmp_path):
    config = dataclasses.replace(LOGISTIC, model="mlp", learning_rate=1e12, data_on_device="on")
    with pytest.raises(NonFinite, match=r"train_loss is (nan|inf) at step [1-9];"):
        train(config, dataset, tmp_path)
    assert all(np.isfinite(row["train_loss"]) for row in lines(tmp_path))


def test_a_profile_is_of_single_steps(dataset, tmp_path):
    train(dataclasses.replace(LOGISTIC, profile=2, data_on_device="on"), dataset, tmp_path)
    assert list((tmp_path / "profile").rglob("*.xplane.pb"))


def device(platform, memory):
    return SimpleNamespace(platform=platform, device_kind="H100", memory_stats=lambda: {"bytes_limit": memory})


@pytest.mark.parametrize(
    ("wanted", "platform", "share", "there"),
    [
        ("auto", "gpu", 0.49, True),
        ("auto", "gpu", 0.51, False),
        ("auto", "cpu", 0.01, False),
        ("on", "cpu", 0.49, True),
        ("off", "gpu", 0.01, False),
    ],
)
def test_where_it_fits(dataset, wanted, platform, share, there):
    source = dataset.splits["train"]
    memory = int(len(source) * 224 * 224 * 3 / share)
    assert belongs_on_device(RunConfig(data_on_device=wanted), source, device(platform, memory)) is there


def test_where_it_does_not_fit_it_says_how_much_it_is(dataset):
    source = dataset.splits["train"]
    message = r"data_on_device='on': the training split takes 0\.00 GB and may take half of the 0\.00 GB of H100; give"
    with pytest.raises(UserError, match=message):
        belongs_on_device(RunConfig(data_on_device="on"), source, device("gpu", 1_000_000))


def test_the_memory_of_a_cpu_is_the_machine_s():
    assert device_data._memory(jax.devices("cpu")[0]) > 10**9
