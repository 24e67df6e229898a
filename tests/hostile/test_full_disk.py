"""A disk that fills up: one sentence, nothing half-written taken for whole, and what was there before still loads.

The disk is made full by the limit on the size of files, which the writes of Python and C++ both run into; where tests
may mount one, by a real small disk.
"""

import dataclasses
import errno
import gc
import os
import resource
import shutil
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import jax
import numpy as np
import pytest

from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.resnet import ResNetConfig
from mole_jax.classifier.network import Frozen
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.facts import read_facts
from mole_jax.data.prepare import build
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError, full_disk_explained, means_full_disk
from mole_jax.inputs.normalize import Inputs
from mole_jax.training.feature_store import FeatureStore
from mole_jax.training.loop import train

ROOT = Path(__file__).parents[2]
LOGISTIC = RunConfig(model="logistic", optimizer="sgd", learning_rate=0.001, batch_size=8, epochs=1)


@contextmanager
def largest_file(size):
    """As if only so many bytes were left for each file."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def data(tmp_path):
    prepare("synthetic", data_dir=tmp_path / "data", examples=40, workers=1)
    return tmp_path / "data"


def test_prepare_leaves_what_was_there(data):
    before = read_facts(data / "synthetic" / "1.0.0")
    message = r"no room left to write in '.*synthetic/\.1\.0\.1\.incomplete' .*: make room, or give another --data_dir"
    with largest_file(2_000_000), pytest.raises(UserError, match=message):
        prepare("synthetic", data_dir=data, examples=40, seed=1, workers=1, overwrite=True)
    assert {path.name for path in (data / "synthetic").iterdir()} == {".lock", "1.0.0"}
    assert load_dataset(data, "synthetic").facts == before


def test_prepare_notices_while_it_writes_shards(data, monkeypatch):
    write_shards = build.write_shards

    def fill_up(*arguments, **settings):
        with largest_file(500_000):
            return write_shards(*arguments, **settings)

    monkeypatch.setattr(build, "write_shards", fill_up)
    with pytest.raises(UserError, match="no room left to write in"):
        prepare("synthetic", data_dir=data, examples=40, seed=1, workers=1, overwrite=True)
    assert {path.name for path in (data / "synthetic").iterdir()} == {".lock", "1.0.0"}
    load_dataset(data, "synthetic")


def test_the_command_says_it_in_a_sentence_with_status_2(tmp_path):
    command = f"ulimit -f 1000; exec {sys.executable} -m experiments.prepare --dataset=synthetic --examples=40"
    result = subprocess.run(
        ["bash", "-c", f"{command} --data_dir={tmp_path}"], capture_output=True, text=True, cwd=ROOT
    )
    assert result.returncode == 2
    assert result.stderr.startswith(rf"error: no room left to write in '{tmp_path}/synthetic/.1.0.0.incomplete'")
    assert result.stderr.count("\n") == 1


# When a write fails, orbax leaves coroutines of a closed event loop behind.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(data, tmp_path):
    dataset = load_dataset(data, "synthetic")
    longer = dataclasses.replace(LOGISTIC, epochs=2)
    whole = train(longer, dataset, tmp_path / "whole")
    train(LOGISTIC, dataset, tmp_path / "run")
    message = r"no room left to write in '.*checkpoints' .* goes on from the checkpoint before"
    with largest_file(100_000), pytest.raises(UserError, match=message):
        train(longer, dataset, tmp_path / "run")
    gc.collect()  # so that they are noticed here and not in another test
    again = train(longer, dataset, tmp_path / "run")
    jax.tree.map(np.testing.assert_array_equal, whole._replace(timing={}), again._replace(timing={}))


def test_a_checkpoint_is_refused_before_it_fills_the_disk(data, tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(
        UserError, match=r"a checkpoint needs 0\.001 GB and .*checkpoints has 0\.000 GB free: make room"
    ):
        train(LOGISTIC, load_dataset(data, "synthetic"), tmp_path / "run")


def features_of(dataset):
    network = load_pretrained("random", architecture=ResNetConfig(stage_sizes=(2, 1), width=4))
    store = FeatureStore(dataset.directory.parents[1], Frozen(network, Inputs("torchvision"), "maps", "float32"))
    return {
        split: np.stack([source[i]["image"] for i in range(len(source))])
        for split, source in store.sources(dataset).items()
    }


def test_features_that_do_not_fit_are_computed_when_they_do(data):
    dataset = load_dataset(data, "synthetic")
    with (
        largest_file(10_000),
        pytest.raises(UserError, match=r"no room left .*: make room, or give --feature_cache=off"),
    ):
        features_of(dataset)
    assert not list(data.glob("_features/*/maps/0*"))
    after = features_of(dataset)
    shutil.rmtree(data / "_features")
    jax.tree.map(np.testing.assert_array_equal, after, features_of(dataset))


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("may not mount a small disk")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_disk_that_others_fill_does_not_kill_the_process(data, small_disk, monkeypatch):
    """Features are never written through mapped memory, where a full disk ends in SIGBUS."""
    plenty = shutil._ntuple_diskusage(1 << 40, 0, 1 << 40)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: plenty)
    dataset = dataclasses.replace(load_dataset(data, "synthetic"), directory=small_disk / "x" / "1.0.0")
    with pytest.raises(UserError, match="no room left to write"):
        features_of(dataset)


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
        OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
        RuntimeError("write() failed: No space left on device; writing a.array_record; at byte 9"),  # ArrayRecord
        ValueError("RESOURCE_EXHAUSTED: Error writing in OCDBT database: No space left on device"),  # orbax
    ],
)
def test_every_librarys_way_to_say_it_is_understood(error, tmp_path):
    assert means_full_disk(error)
    with pytest.raises(UserError, match=r"no room left to write in '.*' \(\d+\.\d GB free\): make room"):  # noqa: SIM117
        with full_disk_explained(tmp_path, "make room"):
            raise error


def test_other_errors_pass_unchanged(tmp_path):
    with pytest.raises(PermissionError), full_disk_explained(tmp_path, "make room"):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
