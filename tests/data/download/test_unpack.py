import io
import random
import stat
import struct
import zipfile

import pytest

from mole_jax.data.download.unpack import Limits, list_entries, unpack
from mole_jax.errors import UserError


@pytest.fixture
def archive(tmp_path, make_zip):
    """archive(entries, ...): the path of an archive."""

    def write(entries, **options):
        path = tmp_path / "a.zip"
        path.write_bytes(make_zip(entries, **options))
        return path

    return write


def test_files_come_out_as_they_are_without_what_macos_adds(archive, tmp_path):
    path = archive({"x/": b"", "x/a.jpg": b"one", "b.csv": b"two", "__MACOSX/x/._a.jpg": b"fork"})
    assert list_entries(path) == {"x/a.jpg": 3, "b.csv": 3}
    unpack(path, tmp_path / "out")
    found = {p.relative_to(tmp_path / "out").as_posix(): p for p in (tmp_path / "out").rglob("*") if p.is_file()}
    assert {name: p.read_bytes() for name, p in found.items()} == {"x/a.jpg": b"one", "b.csv": b"two"}
    assert all(stat.S_IMODE(p.stat().st_mode) & 0o111 == 0 for p in found.values())


@pytest.mark.parametrize(
    ("entries", "options", "why"),
    [
        ({"../evil.jpg": b""}, {}, "'../evil.jpg' would leave the folder"),
        ({"a/../../evil.jpg": b""}, {}, "would leave the folder"),
        ({"/etc/evil.jpg": b""}, {}, "'/etc/evil.jpg' would leave the folder"),
        ({"a//b.jpg": b""}, {}, "would leave the folder"),
        ({"C:\\evil.jpg": b""}, {}, "has a name that is no plain path"),
        ({"..\\evil.jpg": b""}, {}, "has a name that is no plain path"),
        ({"C:/evil.jpg": b""}, {}, "has a name that is no plain path"),
        ({"new\nline.jpg": b""}, {}, "has a name that is no plain path"),
        ({"link.jpg": b"/etc/passwd"}, {"mode": stat.S_IFLNK | 0o777}, "is a link or a device, not a file"),
        ({"pipe.jpg": b""}, {"mode": stat.S_IFIFO | 0o644}, "is a link or a device, not a file"),
        ([("a.jpg", b"1"), ("a.jpg", b"2")], {}, "entries 'a.jpg' and 'a.jpg' are one file"),
        ([("a.jpg", b"1"), ("A.JPG", b"2")], {}, "entries 'a.jpg' and 'A.JPG' are one file"),
        ([("caf\u00e9.jpg", b"1"), ("cafe\u0301.jpg", b"2")], {}, "are one file"),
        ([("a", b"1"), ("a/b.jpg", b"2")], {}, "entry 'a' is a file and a folder"),
    ],
)
@pytest.mark.filterwarnings("ignore:Duplicate name:UserWarning")
def test_hostile_entries_are_refused_before_anything_is_written(archive, tmp_path, entries, options, why):
    path = archive({"good.jpg": b"good"} | entries if isinstance(entries, dict) else entries, **options)
    for act in (list_entries, lambda path: unpack(path, tmp_path / "deep" / "out")):
        with pytest.raises(UserError, match=r"a.zip is refused") as caught:
            act(path)
        assert why in str(caught.value)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zip"]


def test_the_file_and_folder_clash_is_found_in_either_order(archive, tmp_path):
    with pytest.raises(UserError, match=r"is a file and a folder"):
        list_entries(archive([("a/b.jpg", b"2"), ("a", b"1")]))


def test_a_bomb_is_refused(archive, tmp_path):
    path = archive({"bomb.jpg": bytes(30_000_000)})
    with pytest.raises(UserError, match=r"1 entries of 30,000,000 bytes unpacked from [\d,]+ are a bomb"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_bomb_among_good_files_is_refused(tmp_path, make_zip):
    noise = random.Random(0).randbytes(500_000)
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("good.jpg", noise)
        archive.writestr("bomb.jpg", bytes(20_000_000))
    with pytest.raises(UserError, match=r"'bomb.jpg' unpacks to 20,000,000 bytes from [\d,]+: a bomb"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


def test_overlapping_entries_are_refused(archive, tmp_path):
    """Many directory entries that point at the same packed bytes: each is harmless alone."""
    noise = random.Random(0).randbytes(900_000)
    plain = archive({"a0.jpg": noise}, compression=zipfile.ZIP_STORED).read_bytes()
    with zipfile.ZipFile(io.BytesIO(plain)) as opened:
        start = opened.start_dir
    one = plain[start : start + 46 + len("a0.jpg")]
    names = [f"a{i:03d}.jpg".encode() for i in range(150)]
    directory = b"".join(one[:28] + struct.pack("<H", len(name)) + one[30:46] + name for name in names)
    end = struct.pack("<4s4H2LH", b"PK\x05\x06", 0, 0, len(names), len(names), len(directory), start, 0)
    (tmp_path / "a.zip").write_bytes(plain[:start] + directory + end)
    with pytest.raises(UserError, match=r"150 entries of 135,000,000 bytes unpacked from [\d,]+ are a bomb"):
        unpack(tmp_path / "a.zip", tmp_path / "out")


@pytest.mark.parametrize("limits", [Limits(entries=2), Limits(bytes=5)])
def test_the_limits_on_entries_and_bytes_hold(archive, tmp_path, limits):
    path = archive({"a": b"123", "b": b"456", "c": b""})
    unpack(path, tmp_path / "fine")
    with pytest.raises(UserError, match="are a bomb"):
        unpack(path, tmp_path / "out", limits)


def test_an_encrypted_entry_is_refused(archive, tmp_path):
    path = archive({"a.jpg": b"secret"})
    body = bytearray(path.read_bytes())
    directory = body.index(b"PK\x01\x02")
    body[6] |= 1
    body[directory + 8] |= 1
    path.write_bytes(body)
    with pytest.raises(UserError, match=r"'a.jpg' is encrypted"):
        unpack(path, tmp_path / "out")


def test_damaged_bytes_are_told_by_their_entry(archive, tmp_path):
    path = archive({"a.jpg": b"x" * 1000}, compression=zipfile.ZIP_STORED)
    body = bytearray(path.read_bytes())
    body[100] ^= 1
    path.write_bytes(body)
    with pytest.raises(UserError, match=r"is damaged at its entry 'a.jpg' .Bad CRC-32.*delete it, and it is fetched"):
        unpack(path, tmp_path / "out")


@pytest.mark.parametrize("cut", [0, 10, -10])
def test_a_truncated_archive_is_named(archive, tmp_path, cut):
    path = archive({"a.jpg": b"x" * 1000})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"a.zip is not a whole zip archive"):
        unpack(path, tmp_path / "out")


def test_a_full_disk_is_told_before_anything_is_written(archive, tmp_path, monkeypatch):
    path = archive({"a.jpg": b"x" * 1000})
    monkeypatch.setattr("shutil.disk_usage", lambda path: type("Usage", (), {"free": 10})())
    with pytest.raises(UserError, match=r"needs 0.0 GB unpacked and .* 0.0 GB free; make room"):
        unpack(path, tmp_path / "out")
    assert not (tmp_path / "out").exists()
