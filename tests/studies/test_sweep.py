"""A sweep gives the numbers of separate runs, whatever shares its pass, and survives configurations that diverge."""

import csv
import dataclasses
import json
from pathlib import Path

import jax
import numpy as np
import pytest

from mole_jax.backbones import BACKBONES
from mole_jax.backbones.formats.flax_safetensors import write_flax_safetensors
from mole_jax.backbones.load import load_pretrained
from mole_jax.classifier.storage import open_run
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.studies import stacked
from mole_jax.studies.sweep import choose, configurations, metrics_of, sweep
from mole_jax.studies.sweep_grid import sweep_name
from mole_jax.training.loop import train

CONFIG = RunConfig(model="logistic", optimizer="sgd", epochs=3, learning_rate=1e-3)


def epochs_of(run_dir):
    rows = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [row for row in rows if "epoch" in row]


@pytest.mark.parametrize(
    ("base", "grid"),
    [
        ({}, {"learning_rate": [1e-3, 1e-4], "batch_size": [7, 12, 40]}),
        ({"l2": 1e-2, "augment": "dihedral"}, {"seed": [0, 4], "loss_reduction": ["sum", "mean"]}),
        ({"optimizer": "adam", "balance": "weights", "normalize": "dataset"}, {"learning_rate": [1e-3, 1e-4]}),
    ],
    ids=["rates and batch sizes", "seeds and reductions", "adam"],
)
def test_it_gives_the_numbers_of_separate_runs(base, grid, dataset, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(stacked, "CHUNK", 100)
    monkeypatch.setattr(stacked, "KEPT", 4)
    config = dataclasses.replace(CONFIG, batch_size=10, data_dir=str(data_dir), **base)
    _, outcomes = sweep(config, grid, tmp_path / "sweep")
    assert [outcome.config for outcome in outcomes] == configurations(config, grid)
    for i, outcome in enumerate(outcomes):
        alone = train(outcome.config, dataset, tmp_path / str(i))
        for ours, theirs in zip(outcome.epochs, epochs_of(tmp_path / str(i)), strict=True):
            assert all(name.startswith("seconds") for name in set(theirs) - set(ours))
            for name, value in ours.items():
                np.testing.assert_allclose(value, theirs[name], rtol=1e-4, err_msg=name)
            for name in ("step", "validation_accuracy", "validation_auroc"):
                assert ours[name] == theirs[name], name
        for split, logits in alone.logits.items():
            np.testing.assert_allclose(outcome.logits[split], logits, rtol=1e-3, atol=1e-5)


def test_what_diverges_is_reported_and_the_rest_is_chosen_from(data_dir, tmp_path):
    config = dataclasses.replace(CONFIG, batch_size=10, loss_reduction="sum", data_dir=str(data_dir))
    dataset, (bad, good) = sweep(config, {"learning_rate": [1e38, 1e-4]}, tmp_path)
    assert "not finite" in bad.diverged
    assert bad.best_epoch is None
    assert good.diverged is None
    assert choose([bad, good], dataset, "accuracy") is choose([bad, good], dataset, "auroc") is good
    assert choose([bad], dataset, "auroc") is None
    table = list(csv.DictReader((tmp_path / "sweep.csv").read_text().splitlines()))
    assert [row["learning_rate"] for row in table] == ["1e+38", "0.0001"]
    assert table[0]["test_auroc"] == ""
    assert float(table[1]["test_auroc"]) == metrics_of(good, dataset)["test"]["auroc"]
    written = json.loads((tmp_path / "sweep.json").read_text())
    assert written["varied"] == ["learning_rate"]
    assert [row["best_epoch"] for row in written["configurations"]] == [None, good.best_epoch]
    assert len(written["configurations"][1]["epochs"]) == 3


def test_other_models_are_runs_of_their_own(data_dir, tmp_path):
    config = RunConfig(model="cnn", epochs=1, batch_size=15, bn_momentum=0.9, data_dir=str(data_dir))
    _, (outcome,) = sweep(config, {"seed": [3]}, tmp_path)
    run_dir = tmp_path / outcome.config.name
    assert outcome.epochs == epochs_of(run_dir)
    assert outcome.best_epoch == 1
    assert json.loads((run_dir / "config.json").read_text())["seed"] == 3


def test_batch_sizes_share_a_pass_while_a_chunk_stays_small():
    sizes = [20, 100, 200, 500, 7, 1999]
    regressions = [stacked._Regression(dataclasses.replace(CONFIG, batch_size=size)) for size in sizes]
    passes = [[each.config.batch_size for each in of_pass] for of_pass in stacked._passes(regressions)]
    assert sorted(map(sorted, passes)) == [[7], [20, 100, 200, 500], [1999]]


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        ({"epochs": [1, 2]}, r"'epochs' is the same for a whole sweep: take it out of the grid, give --epochs"),
        ({"learning_rate": [-1.0]}, r"learning_rate=-1.0 is too small"),
        ({"seed": [1, 1]}, r"the grid names a value twice; name each once"),
    ],
)
def test_grids_that_make_no_sense_are_refused(grid, message):
    with pytest.raises(UserError, match=message):
        configurations(CONFIG, grid)


def test_random_weights_of_each_seed_are_the_runs_own(data_dir, tmp_path, tiny, monkeypatch):
    """A sweep once trained every run on the weights of the first."""
    monkeypatch.setitem(BACKBONES, "resnet50", tiny.config)
    config = RunConfig(
        model="transfer",
        weights="random",
        head="linear",
        normalize="weights",
        epochs=1,
        batch_size=15,
        bn_momentum=0.9,
        data_dir=str(data_dir),
    )
    _, outcomes = sweep(config, {"seed": [0, 1]}, tmp_path)
    for outcome in outcomes:
        seed = outcome.config.seed
        environment = json.loads((tmp_path / outcome.config.name / "environment.json").read_text())
        assert environment["weights"]["note"] == f"seed {seed}"
        own = load_pretrained("random", architecture=tiny.config, seed=seed).variables
        stored = open_run(tmp_path / outcome.config.name).backbone.variables
        jax.tree.map(np.testing.assert_array_equal, own, stored)


def test_weights_of_each_file_are_the_runs_own(data_dir, tmp_path, tiny, monkeypatch):
    monkeypatch.setitem(BACKBONES, "resnet50", tiny.config)
    files = []
    for seed in (0, 1):
        random = load_pretrained("random", architecture=tiny.config, seed=seed)
        files.append(str(tmp_path / f"{seed}.safetensors"))
        write_flax_safetensors(Path(files[-1]), dataclasses.replace(random, preprocessing="torchvision"))
    config = RunConfig(
        model="transfer", head="linear", normalize="weights", epochs=1, batch_size=15, data_dir=str(data_dir)
    )
    _, outcomes = sweep(config, {"weights": files}, tmp_path / "sweep")
    told = [
        json.loads((tmp_path / "sweep" / outcome.config.name / "environment.json").read_text())["weights"]["file"]
        for outcome in outcomes
    ]
    assert told == ["0.safetensors", "1.safetensors"]
    assert not np.array_equal(outcomes[0].logits["test"], outcomes[1].logits["test"])


def test_two_sweeps_of_one_config_have_places_of_their_own(data_dir, tmp_path):
    config = dataclasses.replace(CONFIG, epochs=1, batch_size=10, data_dir=str(data_dir))
    first, second = {"learning_rate": [1e-3, 1e-4]}, {"seed": [0, 1]}
    names = {sweep_name(config, first), sweep_name(config, second)}
    assert len(names | {sweep_name(dataclasses.replace(config, epochs=2), first)}) == 3
    sweep(config, first, tmp_path)
    before = (tmp_path / "sweep.json").read_bytes()
    with pytest.raises(UserError, match=r"holds a sweep of other configurations \(over learning_rate\); give another"):
        sweep(config, second, tmp_path)
    assert (tmp_path / "sweep.json").read_bytes() == before
    sweep(config, first, tmp_path)
