"""Regressions that share their passes have the numbers of separate runs, and survive those among them that diverge."""

import dataclasses
import itertools
import json

import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.studies import stacked
from mole_jax.studies.train_stack import train_stack
from mole_jax.sweeps.outcome import best_epoch, diverged, epochs_of, finished, predictions, refuse_other
from mole_jax.training.loop import train

CONFIG = RunConfig(model="logistic", optimizer="sgd", epochs=3, learning_rate=1e-3)


@pytest.mark.parametrize(
    ("base", "grid"),
    [
        ({}, {"learning_rate": [1e-3, 1e-4], "batch_size": [7, 12, 40]}),
        ({"l2": 1e-2, "augment": "dihedral"}, {"seed": [0, 4], "loss_reduction": ["sum", "mean"]}),
        ({"optimizer": "adam", "balance": "weights", "normalize": "dataset"}, {"learning_rate": [1e-3, 1e-4]}),
        ({}, {"epochs": [1, 3]}),
    ],
    ids=["rates and batch sizes", "seeds and reductions", "adam", "epochs"],
)
def test_it_gives_the_numbers_of_separate_runs(base, grid, dataset, data_dir, tmp_path, monkeypatch):
    monkeypatch.setattr(stacked, "CHUNK", 100)
    monkeypatch.setattr(stacked, "KEPT", 4)
    config = dataclasses.replace(CONFIG, batch_size=10, data_dir=str(data_dir), **base)
    changes = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    configs = [dataclasses.replace(config, **each) for each in changes]
    outcomes = stacked.train_stacked(configs, dataset)
    assert [outcome.config for outcome in outcomes] == configs
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


def test_each_has_a_directory_of_its_own_and_what_diverges_says_so(data_dir, tmp_path):
    config = dataclasses.replace(CONFIG, batch_size=10, loss_reduction="sum", data_dir=str(data_dir))
    folders = [tmp_path / "bad", tmp_path / "good"]
    configs = [
        dataclasses.replace(config, learning_rate=rate, run_dir=str(folder))
        for rate, folder in zip((1e38, 1e-4), folders, strict=True)
    ]
    bad, good = train_stack(configs)
    assert "not finite" in bad.diverged
    assert bad.best_epoch is None
    assert good.diverged is None
    assert [finished(folder) for folder in folders] == [True, True]
    assert diverged(folders[0]) == bad.diverged
    assert not (folders[0] / "predictions").exists()
    assert diverged(folders[1]) == ""
    assert best_epoch(epochs_of(folders[1])) == good.best_epoch
    for split in ("validation", "test"):
        np.testing.assert_array_equal(predictions(folders[1], split).logit, good.logits[split].astype(np.float64))
    fingerprint = json.loads((folders[1] / "environment.json").read_text())["dataset_fingerprint"]
    for folder, each in zip(folders, configs, strict=True):
        refuse_other(folder, each, fingerprint)
    with pytest.raises(
        UserError, match=r"holds another trial \(epochs: 3 there, 4 asked for\); remove the trial's dir"
    ):
        refuse_other(folders[1], dataclasses.replace(configs[1], epochs=4), fingerprint)
    with pytest.raises(UserError, match="the dataset 'synthetic' has changed since"):
        refuse_other(folders[1], configs[1], "another")
    (folders[1] / "metrics.jsonl").write_text("")
    with pytest.raises(UserError, match="has changed since it was written"):
        refuse_other(folders[1], configs[1], fingerprint)


def test_batch_sizes_share_a_pass_while_a_chunk_stays_small():
    sizes = [20, 100, 200, 500, 7, 1999]
    regressions = [stacked._Regression(dataclasses.replace(CONFIG, batch_size=size)) for size in sizes]
    passes = [[each.config.batch_size for each in of_pass] for of_pass in stacked._passes(regressions)]
    assert sorted(map(sorted, passes)) == [[7], [20, 100, 200, 500], [1999]]


@pytest.mark.parametrize(
    "changes", [{"views": 8}, {"compute_dtype": "bfloat16"}, {"seed": 1}, {"balance": "none"}, {"augment": "dihedral"}]
)
def test_what_is_scored_or_fed_in_another_way_has_a_pass_of_its_own(changes):
    """All regressions of a pass are fed and scored as the first of them says."""
    regressions = [stacked._Regression(CONFIG), stacked._Regression(dataclasses.replace(CONFIG, **changes))]
    assert len(stacked._passes(regressions)) == 2
    faster = stacked._Regression(dataclasses.replace(CONFIG, learning_rate=0.5, clip_norm=1.0))
    assert len(stacked._passes([regressions[0], faster])) == 1


def test_learning_rates_share_their_products_wherever_they_write():
    grid = [
        dataclasses.replace(CONFIG, learning_rate=rate, batch_size=size, run_dir=f"{rate}-{size}")
        for rate in (0.1, 0.01, 0.001)
        for size in (20, 100)
    ]
    stacks = stacked._alike([stacked._Regression(config) for config in grid])
    assert [[each.config.batch_size for each in of_stack] for of_stack in stacks] == [[20] * 3, [100] * 3]
