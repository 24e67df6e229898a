"""After kill -9 at any moment the same command finishes with the same bytes; `soak.py` is the long form."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.files.folder import incomplete, new_folder, publish, replaced
from mole_jax.files.lock import exclusive

SOAK = Path(__file__).with_name("soak.py")


@pytest.mark.slow
@pytest.mark.parametrize(("victim", "kills"), [("prepare", 3), ("train", 2), ("features", 2)])
def test_killed_at_random_moments(victim, kills):
    command = [sys.executable, str(SOAK), f"--victim={victim}", f"--kills={kills}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr
    assert f"{victim}: {kills} kills, the same bytes after each" in result.stdout


def test_killed_between_the_two_moves_of_an_overwrite(tmp_path):
    first = prepare("synthetic", data_dir=tmp_path, examples=40, workers=1).directory
    sums = (first / "SHA256SUMS").read_text()
    first.rename(replaced(first))
    incomplete(first).mkdir()
    with pytest.raises(UserError, match="was prepared with seed=0, not 1; give --overwrite"):
        prepare("synthetic", data_dir=tmp_path, examples=40, seed=1, workers=1)
    assert prepare("synthetic", data_dir=tmp_path, examples=40, workers=1).already_prepared
    assert (first / "SHA256SUMS").read_text() == sums


def test_killed_before_the_old_folder_was_cleared_away(tmp_path):
    (replaced(tmp_path / "final") / "old").mkdir(parents=True)
    (tmp_path / "final" / "before").mkdir(parents=True)
    with exclusive(tmp_path, busy="held"):
        (tmp_path / "new").mkdir()
        publish(tmp_path / "new", tmp_path / "final")
    assert {path.name for path in tmp_path.iterdir()} == {".lock", "final"}
    assert not list((tmp_path / "final").iterdir())


def test_leftovers_are_cleared_away(tmp_path):
    final = tmp_path / "final"
    for leftover in (incomplete(final), replaced(final)):
        (leftover / "left").mkdir(parents=True)
    (tmp_path / "incomplete").mkdir()  # somebody's own
    with new_folder(final) as folder:
        assert not list(folder.iterdir())
    assert [path.name for path in tmp_path.iterdir()] == ["incomplete"]


def test_preparing_again_over_damage_says_so(tmp_path):
    directory = prepare("synthetic", data_dir=tmp_path, examples=40, workers=1).directory
    shutil.copyfile(directory / "manifest.csv", directory / "quarantine.csv")
    with pytest.raises(UserError, match=r"quarantine\.csv has changed .* prepare it again with --overwrite"):
        prepare("synthetic", data_dir=tmp_path, examples=40, workers=1)
