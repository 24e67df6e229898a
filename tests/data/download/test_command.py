"""--source=dataverse and its like, from the command to the dataset."""

import dataclasses
from pathlib import Path

import pytest

from experiments.sources import fetch_source
from mole_jax.data.download.official import OFFICIAL
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from tests.commands import command

ROOT = Path(__file__).parents[3]


def run(*flags):
    return command("prepare", *flags)


@pytest.mark.parametrize("source", ["dataverse", "isic2018", "isic2018_test", "kaggle"])
def test_the_licence_is_shown_and_must_be_accepted(tmp_path, source):
    result = run("--dataset=ham", f"--source={source}", f"--data_dir={tmp_path}")
    assert result.returncode == 2
    assert "licence CC BY-NC 4.0: not for commercial use" in result.stdout
    assert "Tschandl, Rosendahl, Kittler" in result.stdout
    assert result.stderr.count("\n") == 1
    assert "nothing has been fetched; give --accept_licence if you accept it" in result.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--dataset=synthetic"], "the name synthetic is kept for drawn images"),
        (["--dataset=Ham"], "dataset name 'Ham'"),
        (["--dataset=ham", "--examples=3"], "examples=3 is not an even number"),
    ],
)
def test_other_mistakes_are_told_before_anything_is_fetched(tmp_path, flags, message):
    result = run(*flags, "--source=dataverse", "--accept_licence", f"--data_dir={tmp_path}")
    assert (result.returncode, result.stdout) == (2, "")
    assert message in result.stderr


def test_from_the_publisher_to_a_dataset(site, published, dataverse, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(OFFICIAL, "dataverse", dataclasses.replace(dataverse, images=10_015))
    source = fetch_source("dataverse", tmp_path, licence_accepted=True, base=site.base, pause=0)
    assert source == tmp_path / "_downloads" / "dataverse" / "unpacked" / "source"
    printed = capsys.readouterr().out
    assert "HAM10000, Harvard Dataverse" in printed
    assert "note: 24 images where the publisher states 10,015" in printed
    assert prepare("ham", source, data_dir=tmp_path, workers=1).facts.images == 24


def test_a_folder_of_that_name_is_not_meant(site, published, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dataverse").mkdir()
    with pytest.raises(UserError):
        fetch_source("dataverse", tmp_path, licence_accepted=False, base=site.base)
    assert "not the folder 'dataverse' that is here: give --source=./dataverse for it" in capsys.readouterr().out
