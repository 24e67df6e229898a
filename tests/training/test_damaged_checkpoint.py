"""A damaged checkpoint is not gone on from, and the run comes out as if it had been undisturbed."""

import dataclasses
import shutil

import numpy as np
import pytest

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.studies.experiment import run_experiment

CONFIG = RunConfig(model="logistic", epochs=2, batch_size=10, learning_rate=1e-4)


def run(run_dir, data_dir, **changes):
    config = dataclasses.replace(CONFIG, run_dir=str(run_dir), data_dir=str(data_dir), **changes)
    return run_experiment(config, report=False)


@pytest.fixture(scope="module")
def stages(data_dir, tmp_path_factory):
    """The run after two epochs, and the undisturbed one after three."""
    folder = tmp_path_factory.mktemp("stages")
    run(folder / "two", data_dir)
    shutil.copytree(folder / "two", folder / "three")
    run(folder / "three", data_dir, epochs=3)
    return folder


def steps(run_dir):
    return sorted(int(path.name) for path in (run_dir / "checkpoints").iterdir() if path.name.isdigit())


def flip(folder):
    path = max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (lambda folder: flip(folder), "has changed since it was written (its SHA-256 differs): that checkpoint and"),
        (lambda folder: (folder / "_CHECKPOINT_METADATA").unlink(), "_CHECKPOINT_METADATA is missing: that checkpoint"),
        (lambda folder: (folder / "_CHECKPOINT_METADATA").write_text("1"), "_CHECKPOINT_METADATA has changed since"),
        (lambda folder: (folder / "SHA256SUMS").unlink(), ""),
    ],
)
@pytest.mark.parametrize("which", ["newest", "oldest"])
def test_damage_is_said_and_mended(stages, data_dir, tmp_path, damage, told, which):
    shutil.copytree(stages / "two", tmp_path / "run")
    there = steps(tmp_path / "run")
    damage(tmp_path / "run" / "checkpoints" / str({"newest": there[-1], "oldest": there[0]}[which]))
    outcome = run(tmp_path / "run", data_dir, epochs=3)
    log = (tmp_path / "run" / "train.log").read_text()
    assert told in log
    assert (f"goes on at step {there[-1]:,}" in log.splitlines()[-4]) is False
    for name in ("metrics.json", "predictions/test.csv", "classifier/variables.safetensors"):
        assert (tmp_path / "run" / name).read_bytes() == (stages / "three" / name).read_bytes(), name
    assert np.isfinite(outcome.predictions["test"].logit).all()


def test_what_cannot_be_read_and_has_no_digests_stays_where_it_is(stages, data_dir, tmp_path):
    shutil.copytree(stages / "two", tmp_path / "run")
    folder = tmp_path / "run" / "checkpoints" / str(steps(tmp_path / "run")[-1])
    (folder / "SHA256SUMS").unlink()
    (folder / "_CHECKPOINT_METADATA").write_text("1")
    with pytest.raises(UserError, match=r"checkpoints has a checkpoint that cannot be read .*move that folder away"):
        run(tmp_path / "run", data_dir, epochs=3)
    assert (folder / "_CHECKPOINT_METADATA").read_text() == "1"
    shutil.move(tmp_path / "run" / "checkpoints", tmp_path / "away")
    run(tmp_path / "run", data_dir, epochs=3)
    same = "predictions/test.csv"
    assert (tmp_path / "run" / same).read_bytes() == (stages / "three" / same).read_bytes()
