"""A dataset that was damaged after it was prepared is noticed before training begins, and the file is named."""

import json
import logging
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

from mole_jax.data.dataset import load_dataset
from mole_jax.data.prepare import write_shards
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.versions import AGAIN, DATASET
from mole_jax.errors import UserError
from mole_jax.files.changes import SUMS
from mole_jax.files.sums import verify
from tests.commands import command as run_command

ROOT = Path(__file__).parents[2]
SHARD = "synthetic-train.array_record-00001-of-00002"
OTHER = "synthetic-train.array_record-00000-of-00002"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(write_shards, "EXAMPLES_PER_SHARD", 12)
        for seed in (0, 1):
            prepare("synthetic", data_dir=folder / str(seed), examples=40, seed=seed, workers=1)
    return folder


@pytest.fixture
def data(prepared, tmp_path):
    shutil.copytree(prepared / "0", tmp_path / "data")
    return tmp_path / "data"


def directory(data):
    return data / "synthetic" / "1.0.0"


def cut(path):
    os.truncate(path, path.stat().st_size - 1)


def flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def swap_with(other):
    def swap(path):
        content = path.read_bytes()
        path.write_bytes(path.with_name(other).read_bytes())
        path.with_name(other).write_bytes(content)

    return swap


CHANGED = (
    r" has changed since it was written \(its SHA-256 differs\); copy the dataset again, or prepare it again with --o"
)


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (SHARD, cut, SHARD + CHANGED),
        (SHARD, flip, SHARD + CHANGED),
        (SHARD, lambda path: path.write_bytes(b""), SHARD + CHANGED),
        (SHARD, Path.unlink, SHARD + " is missing; copy the dataset again"),
        (SHARD, swap_with(OTHER), OTHER + CHANGED),
        ("manifest.csv", cut, "manifest.csv" + CHANGED),
        ("metadata.json", flip, "metadata.json" + CHANGED),
        ("features.json", Path.unlink, "features.json is missing"),
        (SUMS, lambda path: path.write_text("no sums\n"), SUMS + r" is damaged \(.*\); copy the dataset again"),
        (SUMS, lambda path: path.write_bytes(b"\xff\xfe\0"), SUMS + " is damaged"),
    ],
)
def test_damage_is_noticed_when_the_dataset_is_opened(data, name, damage, message):
    load_dataset(data, "synthetic")
    damage(directory(data) / name)
    with pytest.raises(UserError, match=message):
        load_dataset(data, "synthetic")


def test_a_shard_of_another_dataset_is_noticed(data, prepared):
    shutil.copyfile(directory(prepared / "1") / SHARD, directory(data) / SHARD)
    with pytest.raises(UserError, match=SHARD + CHANGED):
        load_dataset(data, "synthetic")


def test_files_that_were_added_do_not_matter(data):
    (directory(data) / "features").mkdir()
    (directory(data) / "notes.txt").touch()
    load_dataset(data, "synthetic")


def test_standard_tools_can_check_too(data):
    command = ["sha256sum", "--check", "--quiet", SUMS]
    assert subprocess.run(command, cwd=directory(data), capture_output=True).returncode == 0
    flip(directory(data) / SHARD)
    result = subprocess.run(command, cwd=directory(data), capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stdout == f"{SHARD}: FAILED\n"
    names = {line.split("  ")[1] for line in (directory(data) / SUMS).read_text().splitlines()[1:]}
    assert names | {SUMS} == {path.name for path in directory(data).iterdir()}


def test_a_dataset_without_a_record_is_used_with_a_note(data, caplog):
    (directory(data) / SUMS).unlink()
    with caplog.at_level(logging.WARNING):
        dataset = load_dataset(data, "synthetic")
    assert "1.0.0 has no SHA256SUMS (an older version made it, or it was copied without)" in caplog.text
    assert "prepare it again with --overwrite" in caplog.text
    assert dataset.splits["train"][0]["image"].dtype == np.uint8


@pytest.mark.parametrize(
    ("name", "damage", "message"),
    [
        (
            "manifest.csv",
            lambda path: os.truncate(path, 2000),
            r"manifest.csv (is damaged|has \d+ rows of the train split)",
        ),
        ("manifest.csv", lambda path: path.write_text("a,b\n1,2\n"), "manifest.csv is damaged or of another version"),
        ("manifest.csv", Path.unlink, r"manifest.csv is damaged .*No such file"),
        ("metadata.json", lambda path: path.write_text("{"), r"metadata.json is damaged \(Input data was truncated"),
        (
            "metadata.json",
            lambda path: path.write_text('{"new": 1}'),
            r"metadata.json is damaged \(Object missing",
        ),
        (SHARD, cut, "the train split in .* cannot be opened"),
        (SHARD, Path.unlink, "1 of 2 shards of the train split are in .*; copy the dataset again"),
        (SHARD, swap_with("synthetic-test.array_record-00000-of-00001"), "shards of the train split hold 20 records a"),
    ],
)
def test_what_can_be_noticed_without_a_record_is(data, name, damage, message):
    (directory(data) / SUMS).unlink()
    damage(directory(data) / name)
    with pytest.raises(UserError, match=message):
        load_dataset(data, "synthetic")


def test_the_command_says_it_in_a_sentence_and_trains_nothing(data, tmp_path):
    flip(directory(data) / SHARD)
    flags = ["--model=logistic", f"--data_dir={data}", f"--run_dir={tmp_path / 'run'}"]
    result = run_command("run", *flags)
    assert result.returncode == 2
    assert result.stderr.startswith("error: ")
    assert SHARD in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_preparing_again_mends_it(data):
    flip(directory(data) / SHARD)
    before = json.loads((directory(data) / "metadata.json").read_text())
    again = prepare("synthetic", data_dir=data, examples=40, workers=1, overwrite=True).directory
    verify(again, DATASET, again=AGAIN)
    assert json.loads((again / "metadata.json").read_text()) == before
