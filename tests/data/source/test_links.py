"""Links are left out with the flag that follows them; followed, they lead nowhere twice and to no device."""

import os

import pytest

from mole_jax.data.source.choices import Choices
from mole_jax.data.source.listing import list_source
from mole_jax.data.source.tree import list_tree
from mole_jax.errors import UserError

FOLLOWED = Choices(follow_links=True)


@pytest.fixture
def linked(tmp_path, write_image):
    """Class folders whose images are links to an archive elsewhere; NotMelanoma is one link to a folder."""
    archive, source = tmp_path / "archive", tmp_path / "source"
    (source / "Melanoma").mkdir(parents=True)
    for i in range(3):
        write_image(archive / f"m{i}.png")
        write_image(archive / "moles" / f"n{i}.png")
        (source / "Melanoma" / f"m{i}.png").symlink_to(archive / f"m{i}.png")
    (source / "NotMelanoma").symlink_to(archive / "moles")
    return source


def test_links_that_lead_out_are_followed_if_the_user_says_so(linked):
    with pytest.raises(
        UserError, match=r"no files but 'Melanoma/m0.png' \(link that leads out .*; --follow_links foll"
    ):
        list_source(linked)
    listing = list_source(linked, choices=FOLLOWED)
    assert {record.source_path: record.label for record in listing.records} == {
        **{f"Melanoma/m{i}.png": 1 for i in range(3)},
        **{f"NotMelanoma/n{i}.png": 0 for i in range(3)},
    }
    assert listing.quarantined == ()


def test_loops_devices_and_what_is_listed_already_are_refused_with_the_reason(linked, tmp_path):
    (linked / "up").symlink_to(tmp_path)
    (linked / "again").symlink_to(tmp_path / "archive" / "moles")
    (linked / "inside").symlink_to(linked / "Melanoma")
    (linked / "zero.png").symlink_to("/dev/zero")
    (linked / "nowhere.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "archive" / "moles" / "loop").symlink_to(tmp_path / "archive" / "moles")
    os.mkfifo(tmp_path / "pipe")
    (linked / "pipe.png").symlink_to(tmp_path / "pipe")
    tree = list_tree(linked, follow_links=True)
    assert {item.source_path: item.reason for item in tree.quarantined} == {
        "NotMelanoma/loop": "a folder that is listed already under another name",
        "again": "a folder that is listed already under another name",
        "inside": "link to a folder of the source itself",
        "nowhere.png": "cannot be opened: FileNotFoundError",
        "pipe.png": "not a regular file",
        "up": "link to a folder that holds the source",
        "zero.png": "not a regular file",
    }
    assert len(tree.files) == 6
