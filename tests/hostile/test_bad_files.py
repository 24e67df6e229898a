"""A thousand bad files beside a few good ones: none breaks prepare, all are accounted for, the good are unharmed."""

import csv
import functools
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from bad_files import (
    DECODED,
    FORMATS,
    QUARANTINED,
    SAME_OR_NONE,
    encoded,
    load_or_die,
    load_or_die_once,
    npz_claim,
    picture,
    write_bad_files,
)
from PIL import Image

from mole_jax import workers
from mole_jax.data.image_file import UnusableImageError, decode_rgb
from mole_jax.data.manifest import printable, read_manifest
from mole_jax.data.prepare.decode import decode_all
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.records import Example, Quarantined, Record
from mole_jax.data.source.listing import list_source
from mole_jax.data.source.photographs import load_photograph
from mole_jax.data.source.tree import list_tree
from mole_jax.errors import UserError

ROOT = Path(__file__).parents[2]
SPLITS = ("train", "valid", "test")
# Decoding small images needs little: what a bomb would take lies far beyond.
EXTRA_MEGABYTES = 250


def read_quarantine(directory):
    with (directory / "quarantine.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def write_good(source):
    """Four in each class of each split, of which every second has a bad file of the same name beside it."""
    for split in SPLITS:
        for i in range(8):
            folder = source / split / ("Melanoma", "NotMelanoma")[i % 2]
            folder.mkdir(parents=True, exist_ok=True)
            picture(100 + i).save(folder / f"{split}{i}.png")
            if i % 4 < 2:
                (folder / f"{split}{i}.csv").write_text("rows,beside,an,image\n")
                (source / split / "Melanoma" / f"{split}{i}.txt").write_text("notes")


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    source = tmp_path_factory.mktemp("hostile") / "source"
    write_good(source)
    return source, write_bad_files(source / "train" / "Melanoma" / "bad", seed=1)


@pytest.fixture(scope="module")
def outcome(source, tmp_path_factory):
    """The command's own output, its peak memory in MB with and without the bad files, and the dataset's directory."""
    data = tmp_path_factory.mktemp("data")
    good = tmp_path_factory.mktemp("good") / "source"
    write_good(good)
    code = (
        "import resource, sys; from experiments import cli, prepare\n"
        "try: cli.main(prepare.command, description='')\n"
        "finally: print('peak', resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)"
    )

    def run(name, where):
        flags = [f"--dataset={name}", f"--source={where}", f"--data_dir={data}", "--workers=1"]
        result = subprocess.run([sys.executable, "-c", code, *flags], capture_output=True, text=True, cwd=ROOT)
        assert result.returncode == 0, result.stderr
        return result.stdout, int(result.stdout.split("peak ")[1])

    _, before = run("good", good)
    stdout, peak = run("hostile", source[0])
    return stdout, before, peak, data / "hostile" / "1.0.0"


def test_every_file_is_accounted_for_once_with_a_reason(source, outcome):
    root, fates = source
    stdout, _, _, directory = outcome
    prepared = {row.source_path for row in read_manifest(directory)}
    reasons = {item["source_path"]: item["reason"] for item in read_quarantine(directory)}
    everything = [Path(folder, name) for folder, folders, names in os.walk(root) for name in (*names, *folders)]
    files = {printable(p.relative_to(root).as_posix()) for p in everything if p.is_symlink() or not p.is_dir()}
    assert len(fates) > 1200
    assert prepared | reasons.keys() == files
    assert not prepared & reasons.keys()
    assert all(reasons.values())
    for name, fate in fates.items():
        path = printable(f"train/Melanoma/bad/{name}")
        if fate in (QUARANTINED, DECODED):
            assert (path in prepared) == (fate == DECODED), f"{path}: {reasons.get(path)}"
    assert f"{len(files):,} files = {len(prepared):,} prepared + {len(reasons):,} quarantined" in stdout


def test_memory_stays_bounded(outcome):
    _, before, peak, _ = outcome
    assert peak < before + EXTRA_MEGABYTES


def pixels(data):
    return np.asarray(decode_rgb(data))


def test_pixels_are_the_files_own(source, outcome):
    """What is undamaged, or damaged in a format with checksums, or cut short, is decoded rightly or not at all."""
    root, fates = source
    whole = {name: pixels(encoded(picture(0), kind, **options)) for name, (kind, options) in FORMATS.items()}
    lossless = np.asarray(picture(0))
    for name in ("a.png", "a.bmp", "a.tif", "z.tif", "a.webp", "a.ppm"):
        np.testing.assert_array_equal(whole[name], lossless)
    kept = 0
    for name, fate in fates.items():
        if fate != SAME_OR_NONE:
            continue
        try:
            rgb = pixels((root / "train" / "Melanoma" / "bad" / name).read_bytes())
        except UnusableImageError:
            continue
        kept += 1
        np.testing.assert_array_equal(rgb, whole[name.split("_", 2)[2]], err_msg=name)
    assert kept, "a cut in the last bytes does no harm"


@pytest.mark.parametrize("kind", ["GIF", "WEBP", "PNG", "TIFF"])
def test_of_an_animation_the_first_frame_is_taken(source, kind):
    bad = source[0] / "train" / "Melanoma" / "bad"
    rgb = pixels(next(bad.glob(f"*_animated.{kind}")).read_bytes()).astype(int)
    distances = [np.abs(rgb - np.asarray(picture(seed))).mean() for seed in range(4)]
    assert np.argmin(distances) == 0


def test_good_files_are_bit_for_bit_as_without_the_bad_ones(source, outcome, tmp_path):
    root, _ = source
    directory = outcome[3]
    cleaned = tmp_path / "source"
    paths = {printable(path.relative_to(root).as_posix()): path for path in root.rglob("*")}
    for row in read_manifest(directory):
        path = paths[row.source_path]
        copy = cleaned / path.relative_to(root)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, copy)
    without = prepare("hostile", cleaned, data_dir=tmp_path / "data", workers=2).directory
    sums = [(d / "SHA256SUMS").read_text().splitlines() for d in (directory, without)]
    names = [{line for line in lines if "array_record" in line or "manifest" in line} for lines in sums]
    assert names[0] == names[1]
    assert len(names[0]) >= 4
    ids = {row.image_id for row in read_manifest(directory)}
    assert {f"{split}{i}" for split in SPLITS for i in range(8)} <= ids


def test_in_many_processes_too(source, outcome, tmp_path):
    again = prepare("hostile", source[0], data_dir=tmp_path, workers=2).directory
    assert (again / "SHA256SUMS").read_text() == (outcome[3] / "SHA256SUMS").read_text()


@pytest.mark.parametrize("mode", ["I;16", "RGBA", "P"])
def test_a_large_image_takes_its_own_size_and_the_results(mode, tmp_path):
    """Pillow holds four bytes a pixel (two of deep grey, one of a palette), the result has three."""
    side = 5000
    image = Image.fromarray(np.zeros((side, side), np.uint16)) if mode == "I;16" else Image.new(mode, (side, side))
    image.save(tmp_path / "large.png", compress_level=1, transparency=0 if mode == "P" else None)
    code = (
        "import resource, sys; from pathlib import Path; from mole_jax.data.image_file import load_image\n"
        "def peak(): return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024\n"
        "load_image(Path(sys.argv[1])); before = peak(); load_image(Path(sys.argv[2])); print(peak() - before)"
    )
    picture(0).save(tmp_path / "small.png")
    command = [sys.executable, "-c", code, str(tmp_path / "small.png"), str(tmp_path / "large.png")]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert int(result.stdout) < 9 * side * side


def test_a_file_that_kills_its_process_is_quarantined_alone(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_POOL", 0)
    records = [Record(f"{i}.png", str(i), i % 2, str(i)) for i in range(40)]
    done = decode_all(records, functools.partial(load_or_die, "23"), tmp_path / "scratch", workers=2)
    (lost,) = (item for item in done if isinstance(item, Quarantined))
    assert (lost.source_path, lost.reason) == ("23.png", "kills the process that decodes it")
    assert [item.image_id for item in done if isinstance(item, Example)] == [str(i) for i in range(40) if i != 23]


def test_a_process_that_was_killed_for_another_reason_is_not_blamed_on_a_file(tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_POOL", 0)
    records = [Record(f"{i}.png", str(i), i % 2, str(i)) for i in range(40)]
    with pytest.raises(UserError, match=r"a process that worked on '.*23\.png.* was killed; give fewer --workers"):
        decode_all(records, functools.partial(load_or_die_once, tmp_path / "died"), tmp_path / "scratch", workers=2)


def test_a_tree_deeper_than_pythons_stack_is_listed(tmp_path):
    write_good(tmp_path / "source")
    here = Path.cwd()
    os.chdir(tmp_path / "source")
    try:  # step by step, since no system call takes so long a path
        for _ in range(1500):
            Path("deep").mkdir()
            os.chdir("deep")
        os.chdir(here)
        listing = list_source(tmp_path / "source")
    finally:
        os.chdir(here)
        subprocess.run(["rm", "-rf", tmp_path / "source" / "deep"], check=True)  # pytest's own cleaning recurses
    assert len(listing.records) == 24
    assert any("folder cannot be read: File name too long" in item.reason for item in listing.quarantined)


def test_a_folder_that_cannot_be_read_is_quarantined(tmp_path, monkeypatch):
    write_good(tmp_path)
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return scandir(folder)

    (tmp_path / "locked").mkdir()
    monkeypatch.setattr(os, "scandir", refuse)
    reasons = {item.source_path: item.reason for item in list_source(tmp_path).quarantined}
    assert reasons["locked"] == "folder cannot be read: Permission denied"


def test_links_that_lead_anywhere_may_be_followed(tmp_path):
    """To the root of all files, to the folder above, to a device, to themselves: each is named, and none is entered."""
    folder = tmp_path / "source"
    write_bad_files(folder, seed=3)
    plain, followed = list_tree(folder), list_tree(folder, follow_links=True)
    assert set(followed.files) - set(plain.files) == {"out.png"}, "a file of another's, which is no image"
    reasons = {item.source_path: item.reason for item in followed.quarantined}
    assert reasons["root"] == reasons["up.png"] == "link to a folder that holds the source"
    assert reasons["zero.png"] == reasons["pipe.png"] == "not a regular file"
    with pytest.raises(UnusableImageError, match="not an image"):
        load_photograph(folder / "out.png")


def test_an_archive_that_claims_to_be_huge_is_refused_before_it_is_read(tmp_path):
    (tmp_path / "dermamnist.npz").write_bytes(npz_claim((10**6, 10**6, 10**6, 3)))
    with pytest.raises(UserError, match=r"is a damaged archive .*declares 3,000,000,000,000,000,000 bytes and has"):
        list_source(tmp_path)
