"""After kill -9 at any moment the same command finishes with the same bytes; `soak.py` is the long form."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.files.folder import incomplete, new_folder, publish, replaced
from mole_jax.files.sums import claim

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "kills"), [("prepare", 3), ("train", 2), ("seeds", 2), ("features", 2)])
def test_killed_at_random_moments(victim, kills):
    command = [sys.executable, str(SOAK), f"--victim={victim}", f"--kills={kills}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{victim}: {kills} kills, the same bytes after each" in result.stdout


def publish_one(final, text):
    with new_folder(final, "thing", otherwise="give another") as folder:
        (folder / "a").write_text(text)
        publish(folder, final, "thing")


def test_killed_between_the_two_moves_of_an_exchange(tmp_path):
    final = tmp_path / "final"
    publish_one(final, "old")
    final.rename(replaced(final))
    with pytest.raises(ZeroDivisionError), new_folder(final, "thing", otherwise="give another"):
        raise ZeroDivisionError  # and the next attempt fails too
    assert (final / "a").read_text() == "old"


def test_killed_before_the_old_folder_was_cleared_away(tmp_path):
    final = tmp_path / "final"
    publish_one(final, "old")
    final.rename(replaced(final))
    publish_one(tmp_path / "new", "new")
    (tmp_path / "new").rename(final)
    publish_one(final, "newer")
    assert [path.name for path in tmp_path.iterdir()] == ["final"]
    assert (final / "a").read_text() == "newer"


def test_leftovers_are_cleared_away(tmp_path):
    final = tmp_path / "final"
    for leftover in (incomplete(final), replaced(final)):
        claim(leftover, "thing", otherwise="give another")
        (leftover / "left").mkdir()
    (tmp_path / "incomplete").mkdir()  # somebody's own
    with new_folder(final, "thing", otherwise="give another") as folder:
        assert [path.name for path in folder.iterdir()] == ["SHA256SUMS"]
    assert {path.name for path in tmp_path.iterdir()} == {"incomplete", "final"}


def test_a_prepare_that_was_killed_leaves_nothing_in_the_way(tmp_path):
    first = prepare("synthetic", data_dir=tmp_path, examples=40, workers=1).directory
    claim(incomplete(first.with_name("1.0.1")), "dataset", otherwise="give another")
    prepare("synthetic", data_dir=tmp_path, examples=40, seed=1, overwrite=True, workers=1)
    assert {path.name for path in first.parent.iterdir()} == {".lock", "1.0.1"}


def test_preparing_again_over_damage_says_so(tmp_path):
    directory = prepare("synthetic", data_dir=tmp_path, examples=40, workers=1).directory
    shutil.copyfile(directory / "manifest.csv", directory / "quarantine.csv")
    with pytest.raises(UserError, match=r"quarantine\.csv has changed .* prepare it again with --overwrite"):
        prepare("synthetic", data_dir=tmp_path, examples=40, workers=1)


@pytest.mark.slow
def test_mixed_damage_kills_and_reruns():
    command = [sys.executable, str(SOAK), "--mixed", "--rounds=2", "--seed=7"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert "nothing lost, nothing wrong without a word" in result.stdout
