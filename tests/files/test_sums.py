"""What is listed is ours and is checked; what is not listed is never replaced."""

import logging

import pytest

from mole_jax.errors import UserError
from mole_jax.files.changes import SUMS, remove_folder
from mole_jax.files.folder import incomplete, new_folder, publish, remove_superseded, replaced
from mole_jax.files.sums import claim, claims, is_sealed, refuse_foreign, seal, strangers, verify

ELSE = "give another --out"


def everything(folder):
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


@pytest.fixture
def made(tmp_path):
    folder = tmp_path / "made"
    claim(folder, "thing", ["a.csv", "in/b.csv", "never.csv"], otherwise=ELSE)
    (folder / "a.csv").write_text("a")
    (folder / "in").mkdir()
    (folder / "in" / "b.csv").write_text("b")
    seal(folder, "thing")
    return folder


def test_what_is_listed_may_be_written_again(made):
    assert claims(made, "thing") == ["a.csv", "in/b.csv"]
    assert is_sealed(made, "thing")
    claim(made, "thing", ["a.csv"], otherwise=ELSE)
    assert not is_sealed(made, "thing")


@pytest.mark.parametrize("claimed", [["a.csv"], ["new.csv", "a.csv"]])
def test_a_file_of_somebody_else_is_refused_and_nothing_changes(tmp_path, claimed):
    (tmp_path / "a.csv").write_text("mine")
    before = everything(tmp_path)
    with pytest.raises(UserError, match=r"a.csv is there and was not written by this command: .*; give another --out"):
        claim(tmp_path, "thing", claimed, otherwise=ELSE)
    assert everything(tmp_path) == before


def test_a_broken_link_counts_as_a_file(tmp_path):
    (tmp_path / "a.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="was not written by this command"):
        claim(tmp_path, "thing", ["a.csv"], otherwise=ELSE)


def test_a_file_of_another_kind_is_refused(made):
    with pytest.raises(UserError, match=r"a.csv is there and is part of a thing: it is not replaced"):
        claim(made, "other", ["a.csv"], otherwise=ELSE)
    claim(made, "other", ["c.csv"], otherwise=ELSE)
    assert claims(made, "thing") == ["a.csv", "in/b.csv"]


def test_a_record_of_somebody_else_is_not_ours(tmp_path):
    (tmp_path / SUMS).write_text(f"{'0' * 64}  photo.jpg\n")
    before = everything(tmp_path)
    with pytest.raises(UserError, match=r"holds files and no mark of mole_jax"):
        claim(tmp_path, "thing", ["a.csv"], otherwise=ELSE)
    assert everything(tmp_path) == before


def test_a_whole_folder_must_be_new_empty_or_ours(tmp_path, made):
    (tmp_path / "empty").mkdir()
    claim(tmp_path / "empty", "thing", alone=True, otherwise=ELSE)
    claim(made, "thing", alone=True, otherwise=ELSE)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "photo.jpg").touch()
    with pytest.raises(UserError, match=r"holds files and no mark of mole_jax .* nothing in it is touched; give"):
        claim(tmp_path / "full", "thing", alone=True, otherwise=ELSE)
    with pytest.raises(UserError, match=r"made' holds a thing, not a box; give another --out"):
        claim(made, "box", alone=True, otherwise=ELSE)


def test_a_file_where_a_folder_must_be(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"file' is a file, not a folder; give another --out"):
        claim(tmp_path / "file" / "in", "thing", otherwise=ELSE)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda f: (f / "a.csv").write_text("A"),
            r"a.csv has changed since it was written \(its .* differs\); again",
        ),
        (lambda f: (f / "in" / "b.csv").unlink(), r"b.csv is missing; again"),
        (lambda f: (f / SUMS).write_text("# mole_jax other\n"), r"SHA256SUMS has no line '# mole_jax thing'; again"),
        (lambda f: (f / SUMS).write_text("# mole_jax thing\n"), r"has no digest of a.csv, which it should have; again"),
        (
            lambda f: (f / SUMS).write_text("# mole_jax thing\n12  a.csv\n"),
            r"is damaged \(the line '12  a",
        ),
        (
            lambda f: (f / SUMS).write_text(f"# mole_jax thing\n{'0' * 64}  ../made/a.csv\n"),
            r"is damaged \(it lists '../made/a.csv', outside the folder\); again",
        ),
        (lambda f: (f / SUMS).write_bytes(b"# mole_jax thing\n\xff"), r"is damaged \('utf-8' codec"),
    ],
)
def test_damage_is_named(made, damage, message):
    verify(made, "thing", ["a.csv"], again="again")
    damage(made)
    with pytest.raises(UserError, match=message):
        verify(made, "thing", ["a.csv"], again="again")


def test_only_some_files_may_be_looked_at(made):
    (made / "a.csv").write_text("A")
    verify(made, "thing", only=["in/b.csv"], again="again")


def test_a_folder_without_digests_is_said_to_be_unverified(made, caplog):
    (made / SUMS).unlink()
    with caplog.at_level(logging.WARNING):
        verify(made, "thing", ["a.csv"], again="make it again")
    assert "has no SHA256SUMS (an older version made it, or it was copied without)" in caplog.text


def publish_one(final, text="new"):
    with new_folder(final, "thing", otherwise=ELSE) as folder:
        (folder / "a.csv").write_text(text)
        publish(folder, final, "thing")


def test_a_folder_appears_whole_and_replaces_ours(tmp_path):
    final = tmp_path / "it"
    publish_one(final, "old")
    publish_one(final, "new")
    assert (final / "a.csv").read_text() == "new"
    verify(final, "thing", ["a.csv"], again="again")
    assert [p.name for p in tmp_path.iterdir()] == ["it"]


@pytest.mark.parametrize("place", [lambda final: final, incomplete, replaced])
def test_a_folder_of_somebody_else_in_the_way_stays(tmp_path, place):
    mine = place(tmp_path / "it")
    mine.mkdir()
    (mine / "photo.jpg").write_text("mine")
    with pytest.raises(UserError, match=r"nothing in it is touched"):
        publish_one(tmp_path / "it")
    assert everything(tmp_path) == {f"{mine.name}/photo.jpg": b"mine"}


def test_a_file_that_somebody_put_into_ours_stays(tmp_path):
    final = tmp_path / "it"
    publish_one(final)
    (final / "notes.txt").write_text("mine")
    before = everything(final)
    with pytest.raises(UserError, match=r"notes.txt was not written by mole_jax and is in the way; move it elsewhere"):
        publish_one(final)
    assert remove_superseded(final, "thing") == ["notes.txt"] == strangers(final, "thing")
    assert everything(final) == before


def test_a_killed_removal_is_finished_later(tmp_path):
    final = tmp_path / "it"
    publish_one(final)
    (final / "a.csv").unlink()  # the kill came here: the mark goes last
    refuse_foreign(final, "thing", alone=True, otherwise=ELSE)
    remove_folder(final)
    assert not final.exists()


def test_a_link_is_removed_and_not_what_it_points_to(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "photo.jpg").touch()
    (tmp_path / "link").symlink_to(tmp_path / "mine")
    remove_folder(tmp_path / "link")
    assert not (tmp_path / "link").exists()
    assert (tmp_path / "mine" / "photo.jpg").exists()
