"""A sweep without training: an executor whose jobs leave what runs leave, at once."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.manifest import read_manifest
from mole_jax.data.versions import dataset_directory
from mole_jax.evaluation.predictions import write_predictions
from mole_jax.executors.base import Ended
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import write_json
from mole_jax.runs.directory import CONFIG, ENVIRONMENT, METRICS, STEPS, files, predictions_file
from mole_jax.runs.predictions import to_predictions
from mole_jax.sweeps.directory import TRIALS
from mole_jax.sweeps.space import parse_space
from mole_jax.sweeps.sweep import Plan, sweep


class Pretended:
    """Leaves what a run leaves: scores the better the nearer l2 is to .5; or ends as `fates` says, by l2."""

    def __init__(self, data_dir, fates=None):
        directory = dataset_directory(data_dir, "synthetic")
        self.rows = {s: [r for r in read_manifest(directory) if r.split == s] for s in ("train", "validation", "test")}
        self.fingerprint = load_dataset(data_dir, "synthetic").facts.fingerprint
        self.fates = {} if fates is None else fates
        self.ended, self.started, self.stopped = [], [], []

    def start(self, job):
        config = RunConfig.from_dict(json.loads(Path(job.arguments[0]).read_text()))
        self.started.append(config)
        fate = self.fates.get(config.l2, [])
        ended = fate.pop(0) if fate else Ended(job.name, 0)
        if ended.status == 0:
            self.write(config, Path(config.run_dir))
        self.ended.append(dataclasses.replace(ended, name=job.name))

    def write(self, config, folder):
        claim(folder, "run", files(folder), alone=True, otherwise="")
        random = np.random.default_rng([config.seed, int(config.l2 * 1000)])
        for split, rows in self.rows.items():
            label = np.array([row.label for row in rows])
            logit = (1.5 - 3 * abs(config.l2 - 0.5)) * label + random.normal(size=len(rows))
            predictions_file(folder, split).parent.mkdir(parents=True, exist_ok=True)
            write_predictions(predictions_file(folder, split), to_predictions(rows, logit.astype(np.float32)))
        self.write_epochs(folder, [1 - abs(config.l2 - 0.5)])
        write_json(folder / CONFIG, config.to_dict())
        write_json(folder / ENVIRONMENT, {"dataset_fingerprint": self.fingerprint})
        write_json(folder / METRICS, {})
        seal(folder, "run")

    def write_epochs(self, folder, aurocs):
        folder.mkdir(parents=True, exist_ok=True)
        lines = [{"step": i, "epoch": i, "validation_auroc": value} for i, value in enumerate(aurocs, start=1)]
        (folder / STEPS).write_text("".join(json.dumps(line) + "\n" for line in lines))

    def wait(self, _):
        ended, self.ended = self.ended, []
        return ended

    def stop(self, name):
        self.stopped.append(name)

    def close(self):
        pass


def commands(directory, trials):
    (trial,) = trials
    return (str(directory / TRIALS / f"{trial.name}.json"),)


@pytest.fixture
def run(data_dir, tmp_path):
    """run(grid, fates) -> (result, what was started, what was told)."""

    def run(grid, fates=None, *, how="grid", count=0, seeds=1, model="cnn", executor=None, **options):
        told, executor = [], executor or Pretended(data_dir, fates)
        plan = Plan(
            parse_space(grid),
            how,
            lambda changes: RunConfig(**{"model": model, "data_dir": str(data_dir), **changes}),
            count=count,
            seeds=seeds,
        )
        options = {"parallel": 2, **options}
        result = sweep(plan, tmp_path / "sweep", executor=executor, commands=commands, tell=told.append, **options)
        return result, executor.started, told

    return run


@pytest.fixture
def pretended(data_dir):
    """pretended(fates) -> an executor."""
    return lambda fates=None: Pretended(data_dir, fates)
