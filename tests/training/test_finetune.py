"""Fine-tuning: a head first, then also the last layers; resumed bit for bit on both sides of the boundary."""

import dataclasses
import itertools
import json
import os
import signal

import jax
import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.models.transfer import trained_layers
from mole_jax.training import feed, loop
from mole_jax.training.loop import Interrupted, Trained, train

CONFIG = RunConfig(
    model="transfer",
    head="linear",
    normalize="weights",
    batch_size=10,
    epochs=1,
    bn_momentum=0.9,
    finetune_epochs=2,
    finetune_learning_rate=1e-2,
    unfreeze=0.5,
    dropout=0.2,
)
TODAY = dataclasses.replace(
    CONFIG,
    **{"schedule": "cosine", "warmup_epochs": 0.5, "ema": 0.9, "layer_decay": 0.1, "backbone_bn": "trained"},
    **{"clip_norm": 1.0, "label_smoothing": 0.1, "weight_decay": 0.01, "loss": "focal", "balance": "effective"},
    augment="strong size=64",
    diagnosis_weight=0.5,
)


def lines(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in row.items() if not name.startswith("seconds")} for row in rows]


def same(a, b):
    if isinstance(a, Trained):  # but for where the time went
        a, b = a._replace(timing={}), b._replace(timing={})
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.fixture(scope="module")
def last_is_best():
    """Every later epoch counts as better, so that the result is the last state."""
    figures = loop.epoch_metrics
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "epoch_metrics", lambda *a, **k: {**figures(*a, **k), "validation_auroc": float(a[0])})
        yield


@pytest.fixture(scope="module")
def whole(dataset, tiny, tmp_path_factory, last_is_best):
    folder = tmp_path_factory.mktemp("whole")
    return folder, train(CONFIG, dataset, folder, pretrained=tiny)


def test_only_the_last_layers_have_moved(whole, tiny):
    trained = trained_layers(tiny.config, CONFIG.unfreeze)
    moved = set()
    for path, leaf in jax.tree_util.tree_flatten_with_path(whole[1].variables["params"]["backbone"])[0]:
        keys, before = [key.key for key in path], tiny.variables["params"]
        for key in keys:
            before = before[key]
        if not np.array_equal(leaf, before):
            moved.add("/".join(keys[:-1]))
    assert moved <= trained
    assert {"layer2_0/conv3", "layer2_0/bn3"} <= moved
    same(whole[1].variables["batch_stats"]["backbone"], tiny.variables["batch_stats"])


@pytest.mark.parametrize("stop", [{"finetune_epochs": 0}, {"finetune_epochs": 1}], ids=["boundary", "within"])
def test_in_two_parts_it_is_the_whole_bit_for_bit(whole, dataset, tiny, tmp_path, stop):
    train(dataclasses.replace(CONFIG, **stop), dataset, tmp_path, pretrained=tiny)
    parts = train(CONFIG, dataset, tmp_path, pretrained=tiny)
    same(parts, whole[1])
    assert lines(tmp_path) == lines(whole[0])


def test_it_begins_from_the_best_head_and_keeps_the_better_of_both_phases(dataset, tiny, tmp_path, monkeypatch):
    figures, scripted = loop.epoch_metrics, iter([0.9, 0.5, 0.6])
    monkeypatch.setattr(loop, "epoch_metrics", lambda *a, **k: {**figures(*a, **k), "validation_auroc": next(scripted)})
    config = dataclasses.replace(CONFIG, epochs=2, finetune_epochs=1)
    begun = []
    take_over = loop.plan

    def spying(*args, **kwargs):
        planned = take_over(*args, **kwargs)
        head, fine = planned.phases

        def begin(before):
            begun.append(jax.tree.map(np.array, before.params["head"]))
            return fine.begin(before)

        return planned._replace(phases=[head, fine._replace(begin=begin)])

    monkeypatch.setattr(loop, "plan", spying)
    best = train(config, dataset, tmp_path, pretrained=tiny)
    assert set(best.variables["params"]) == {"head"}, "the head's first epoch was the best"
    same(best.variables["params"]["head"], begun[0])


@pytest.mark.slow
def test_killed_in_mid_fine_tuning_with_everything_on_it_goes_on_bit_for_bit(
    dataset, tiny, tmp_path, monkeypatch, last_is_best
):
    whole = train(TODAY, dataset, tmp_path / "whole", pretrained=tiny)
    before, after = tiny.variables["batch_stats"], whole.variables["batch_stats"]["backbone"]
    assert not np.array_equal(before["bn1"]["mean"], after["bn1"]["mean"]), "the statistics of the backbone move"
    draw = feed.train_batches

    def terminate_at_fifth(*args, **kwargs):
        for batch in draw(*args, **kwargs):
            if kwargs["start"] and next(counts) == 4:  # of the second phase
                os.kill(os.getpid(), signal.SIGTERM)
            yield batch

    counts = itertools.count()
    monkeypatch.setattr(feed, "train_batches", terminate_at_fifth)
    with pytest.raises(Interrupted):
        train(TODAY, dataset, tmp_path / "parts", pretrained=tiny)
    monkeypatch.setattr(feed, "train_batches", draw)
    same(whole, train(TODAY, dataset, tmp_path / "parts", pretrained=tiny))
    assert lines(tmp_path / "whole") == lines(tmp_path / "parts")
