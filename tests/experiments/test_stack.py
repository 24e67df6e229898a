"""The command that a sweep starts for its logistic regressions refuses what cannot share a pass."""

import json
from types import SimpleNamespace

import pytest

from experiments import stack
from mole_jax.config import RunConfig
from mole_jax.errors import UserError


@pytest.fixture
def read(tmp_path, monkeypatch):
    """read(*configs): what the command makes of files that hold them."""

    def read(*configs, listed=False):
        paths = []
        for i, config in enumerate(configs):
            paths.append(tmp_path / f"{i}.json")
            paths[-1].write_text(json.dumps(config.to_dict()))
        if listed:
            (tmp_path / "all.list").write_text("".join(f"{path}\n" for path in paths))
            paths = [tmp_path / "all.list"]
        monkeypatch.setattr(stack, "CONFIGS", SimpleNamespace(value=list(map(str, paths))))
        return stack._configs()

    return read


def logistic(**more):
    return RunConfig(**{"model": "logistic", "run_dir": "somewhere", **more})


@pytest.mark.parametrize("listed", [False, True])
def test_configs_are_read(read, listed):
    configs = [logistic(l2=l2) for l2 in (0.0, 0.5)]
    assert read(*configs, listed=listed) == configs


@pytest.mark.parametrize("config", [logistic(normalize="batch"), RunConfig(run_dir="x"), RunConfig(model="logistic")])
def test_what_cannot_share_a_pass_is_refused(read, config):
    with pytest.raises(UserError, match=r"1.json: only logistic regressions with a run_dir share a pass, without"):
        read(logistic(), config)


def test_none_and_several_datasets_are_refused(read):
    with pytest.raises(UserError, match="give --configs, files of one config each"):
        read()
    with pytest.raises(UserError, match="the configs name different datasets: give those of one"):
        read(logistic(), logistic(dataset="other"))
