"""A version that is read stays as it is; preparing again makes the next one."""

import os

import pytest

from mole_jax.data.dataset import load_dataset, open_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.versions import Reading, dataset_directory, following, newest
from mole_jax.errors import UserError


def make(data_dir, seed=0, *, overwrite=False):
    return prepare("synthetic", data_dir=data_dir, examples=40, seed=seed, overwrite=overwrite, workers=1)


def versions(data_dir):
    return sorted(path.name for path in (data_dir / "synthetic").iterdir() if path.name[0] != ".")


def test_a_reader_keeps_what_it_opened(tmp_path):
    make(tmp_path)
    reader = load_dataset(tmp_path, "synthetic")
    expected = [reader.rows["test"][i].image_id for i in range(len(reader.rows["test"]))]
    again = make(tmp_path, seed=1, overwrite=True)
    assert versions(tmp_path) == ["1.0.0", "1.0.1"]
    assert again.notes == (f"{tmp_path}/synthetic/1.0.0 is kept: a process reads it; the next --overwrite removes it",)
    image = reader.splits["test"][0]["image"]
    same = open_dataset(tmp_path, "synthetic")
    assert same.directory.name == "1.0.1"
    assert expected == [row.image_id for row in reader.rows["test"]]
    assert image.shape == (224, 224, 3)
    reader.reading.refuse_change()
    del reader, same
    make(tmp_path, seed=2, overwrite=True)
    assert versions(tmp_path) == ["1.0.2"]


def test_the_same_dataset_again_is_the_same_version(tmp_path):
    make(tmp_path)
    assert make(tmp_path).already_prepared
    assert versions(tmp_path) == ["1.0.0"]


@pytest.mark.parametrize(
    "change",
    [
        lambda d: (d / "manifest.csv").unlink(),
        lambda d: (d / "manifest.csv").write_text("other"),
        lambda d: os.utime(d / "manifest.csv", (1, 1)),
    ],
)
def test_a_change_under_a_reader_is_noticed(tmp_path, change):
    make(tmp_path)
    dataset = load_dataset(tmp_path, "synthetic")
    dataset.reading.refuse_change()
    change(dataset.directory)
    with pytest.raises(UserError, match=r"manifest.csv was changed, or removed, while it was read: what was computed"):
        dataset.reading.refuse_change()


def test_what_is_not_ours_in_an_older_version_stays(tmp_path):
    first = make(tmp_path).directory
    (first / "notes.txt").write_text("mine")
    notes = make(tmp_path, seed=1, overwrite=True).notes
    assert notes == (f"{first} is kept: it holds notes.txt, which mole_jax did not write",)
    assert (first / "notes.txt").read_text() == "mine"
    assert dataset_directory(tmp_path, "synthetic").name == "1.0.1"


def test_a_version_of_an_older_release_stays(tmp_path):
    first = make(tmp_path).directory
    sums = first / "SHA256SUMS"
    sums.write_text("".join(sums.read_text().splitlines(keepends=True)[1:]))  # as it was without a mark
    load_dataset(tmp_path, "synthetic")
    assert "an older release of mole_jax made it" in make(tmp_path, seed=1, overwrite=True).notes[0]
    assert versions(tmp_path) == ["1.0.0", "1.0.1"]


def test_folders_of_the_user_beside_the_versions_stay(tmp_path):
    for name in ("incomplete", "replaced", ".1.0.1.incomplete"):
        (tmp_path / "synthetic" / name).mkdir(parents=True)
        (tmp_path / "synthetic" / name / "photo.jpg").write_text("mine")
    make(tmp_path)
    with pytest.raises(UserError, match=r"'.*\.1\.0\.1\.incomplete' is in the way and was not written by mole_jax"):
        make(tmp_path, seed=1, overwrite=True)
    assert len(list((tmp_path / "synthetic").glob("**/photo.jpg"))) == 3


@pytest.mark.parametrize("source", ["data/mine", "data/mine/incomplete", "link"])
def test_a_source_inside_the_place_of_the_dataset_is_refused(tmp_path, source):
    (tmp_path / "data" / "mine" / "incomplete").mkdir(parents=True)
    (tmp_path / "data" / "mine" / "incomplete" / "a.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "data" / "mine")
    with pytest.raises(UserError, match=r"the source '.*' lies inside '.*data/mine', where the dataset goes"):
        prepare("mine", tmp_path / source, data_dir=tmp_path / "data", overwrite=True)
    assert (tmp_path / "data" / "mine" / "incomplete" / "a.jpg").exists()


@pytest.mark.parametrize("name", ["../synthetic", "/etc", "a/b", "A", ""])
def test_a_name_that_leads_elsewhere_is_refused(tmp_path, name):
    with pytest.raises(UserError, match=r"dataset name '.*': use lower-case letters, digits and underscores"):
        dataset_directory(tmp_path, name)


def test_versions_are_counted_as_numbers(tmp_path):
    for version in ("1.0.9", "1.0.10", "1.0", "1.0.11"):
        (tmp_path / version).mkdir()
        if version != "1.0.11":  # not a dataset
            (tmp_path / version / "metadata.json").touch()
    assert newest(tmp_path) == tmp_path / "1.0.10"
    assert following(tmp_path) == tmp_path / "1.0.11"


def test_a_version_that_is_gone_cannot_be_held(tmp_path):
    with pytest.raises(FileNotFoundError):
        Reading(tmp_path / "1.0.0")
