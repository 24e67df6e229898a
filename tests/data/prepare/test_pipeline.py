"""prepare.py and what it chains, end to end."""

import csv
import dataclasses
import hashlib
import json
import math
import os
import pickle
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from mole_jax import workers
from mole_jax.data.facts import read_facts
from mole_jax.data.image_file import load_image
from mole_jax.data.manifest import read_manifest
from mole_jax.data.prepare import build, write_shards
from mole_jax.data.prepare.copies import apply_affine, draw_affine
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.records import SPLITS
from mole_jax.data.shards import open_split
from mole_jax.data.versions import dataset_directory
from mole_jax.errors import UserError
from mole_jax.files.lock import exclusive

ROOT = Path(__file__).parents[3]


def read_quarantine(directory):
    with (directory / "quarantine.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def contents(directory):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in directory.rglob("*") if path.is_file()}


def by_tfds(directory, split):
    """The split as TFDS's own reader gives it."""
    return tfds.builder_from_directory(str(directory)).as_data_source(split)


@pytest.fixture
def prepared(ham_source, tmp_path):
    return prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)


def test_a_dataset_is_what_the_contract_says(prepared, tmp_path):
    assert prepared.directory == tmp_path / "data" / "ham" / "1.0.0"
    assert prepared.facts.counts == {"train": [8, 4], "validation": [4, 2], "test": [4, 2]}
    names = {path.name for path in prepared.directory.iterdir()}
    assert names == {
        "dataset_info.json",
        "features.json",
        "label.labels.txt",
        "metadata.json",
        "manifest.csv",
        "quarantine.csv",
        "SHA256SUMS",
        *(f"ham-{split}.array_record-00000-of-00001" for split in SPLITS),
    }
    header = (prepared.directory / "manifest.csv").read_text().splitlines()[0]
    assert header == (
        "image_id,lesion_id,label,split,source_path,sha256,width,height,pixels,augmented_from,dx,dx_type,age,sex,"
        "localization,patient_id"
    )
    assert (prepared.directory / "quarantine.csv").read_text() == "source_path,reason\n"


def test_records_stand_in_the_order_of_the_manifest_and_hold_the_pixels(prepared, ham_source):
    rows = read_manifest(prepared.directory)
    assert [row.split for row in rows] == sorted((row.split for row in rows), key=SPLITS.index)
    for split in SPLITS:
        source, of_tfds = open_split(prepared.directory, split), by_tfds(prepared.directory, split)
        members = [row for row in rows if row.split == split]
        assert len(source) == len(of_tfds) == len(members) > 0
        for i, row in enumerate(members):
            record = of_tfds[i]
            assert source[i]["label"] == row.label
            np.testing.assert_array_equal(source[i]["image"], record["image"])
            path = ham_source / row.source_path
            np.testing.assert_array_equal(record["image"], load_image(path).image)
            assert record["image"].dtype == np.uint8
            assert record["label"] == row.label == (row.dx == "mel")
            for name in ("image_id", "lesion_id", "source_path", "dx", "dx_type", "sex", "localization"):
                assert record[name].decode() == getattr(row, name)
            assert record["age"] == row.age or (math.isnan(record["age"]) and row.age is None)
            assert row.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
            assert (row.width, row.height, row.augmented_from) == (40, 30, "")


def test_no_lesion_straddles_and_no_class_is_missing(prepared):
    rows = read_manifest(prepared.directory)
    assert len({(row.lesion_id, row.split) for row in rows}) == len({row.lesion_id for row in rows}) == 12
    assert len({(row.split, row.label) for row in rows}) == 6


def test_the_facts_can_be_read_back_and_by_tfds(prepared):
    assert read_facts(prepared.directory) == prepared.facts
    assert read_facts(prepared.directory).fingerprint == prepared.facts.fingerprint
    info = tfds.builder_from_directory(str(prepared.directory)).info
    assert dict(info.metadata) == json.loads(json.dumps(prepared.facts.to_dict()))
    assert info.splits["train"].num_examples == 12
    assert "Layout ham10000, protocol grouped, seed 0" in info.description
    assert not prepared.facts.leaky


def test_channel_statistics_are_those_of_the_training_pixels(prepared):
    source = open_split(prepared.directory, "train")
    pixels = np.concatenate([source[i]["image"].reshape(-1, 3) / 255 for i in range(len(source))])
    np.testing.assert_allclose(prepared.facts.channel_mean, pixels.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(prepared.facts.channel_std, pixels.std(axis=0), rtol=1e-12)


def test_a_source_survives_pickling(prepared):
    source = open_split(prepared.directory, "test")
    copy = pickle.loads(pickle.dumps(source))
    np.testing.assert_array_equal(copy[1]["image"], source[1]["image"])


def test_the_same_bytes_from_one_worker_and_from_three(ham_source, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_POOL", 0)
    monkeypatch.setattr(write_shards, "EXAMPLES_PER_SHARD", 3)
    (ham_source / "HAM10000_images_part_1" / "ISIC_0000004.png").write_bytes(b"broken")
    one = prepare("ham", ham_source, data_dir=tmp_path / "one", workers=1)
    three = prepare("ham", ham_source, data_dir=tmp_path / "three", workers=3)
    assert contents(one.directory) == contents(three.directory)
    assert one.facts.quarantined == 1
    assert len(list(one.directory.glob("*train*"))) > 1
    assert len(open_split(one.directory, "train")) == sum(one.facts.counts["train"])


def test_the_bytes_do_not_depend_on_hash_randomisation(ham_source, tmp_path):
    code = "import sys; from pathlib import Path; from mole_jax.data.prepare.prepare import prepare\n"
    code += "prepare('ham', Path(sys.argv[1]), data_dir=Path(sys.argv[2]), workers=1)"
    for seed in "12":
        command = [sys.executable, "-c", code, str(ham_source), str(tmp_path / seed)]
        subprocess.run(command, check=True, env={**os.environ, "PYTHONHASHSEED": seed}, cwd=ROOT)
    assert contents(tmp_path / "1" / "ham" / "1.0.0") == contents(tmp_path / "2" / "ham" / "1.0.0")


def test_the_seed_changes_the_split(ham_source, tmp_path, prepared):
    other = prepare("other", ham_source, data_dir=tmp_path / "data", seed=1, workers=1)
    splits = [{row.image_id: row.split for row in read_manifest(s.directory)} for s in (prepared, other)]
    assert splits[0].keys() == splits[1].keys()
    assert splits[0] != splits[1]
    assert other.facts.fingerprint != prepared.facts.fingerprint


def test_unusable_files_are_quarantined_and_counted(ham_source, tmp_path):
    part = ham_source / "HAM10000_images_part_1"
    (part / "ISIC_0000002.png").write_bytes(b"")
    data = (part / "ISIC_0000006.png").read_bytes()
    (part / "ISIC_0000006.png").write_bytes(data[: len(data) // 2])
    (part / "licence.txt").write_text("CC BY-NC 4.0")
    (part / "ISIC_0000008.png").unlink()
    summary = prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)
    reasons = {item["source_path"].split("/")[-1]: item["reason"] for item in read_quarantine(summary.directory)}
    assert reasons.pop("ISIC_0000006.png").startswith("cannot be decoded: ")
    assert reasons == {
        "ISIC_0000002.png": "empty file",
        "licence.txt": "no row in HAM10000_metadata.csv",
        "HAM10000_metadata.csv": "row ISIC_0000008 has no image",
    }
    facts = summary.facts
    assert (facts.files, facts.images, facts.quarantined, facts.without_image) == (24, 21, 3, 1)


def test_odd_names_do_no_harm(tmp_path, write_image):
    source = tmp_path / "source"
    for i in range(6):
        write_image(source / "Melanoma" / f'mel {i}\n\r,"é.png', seed=i)
        plain = write_image(source / "NotMelanoma" / f"nv{i}.png", seed=i)
        plain.rename(plain.with_name(os.fsdecode(b"nv\xff\n%d.png" % i)))
    (source / "NotMelanoma" / os.fsdecode(b"bad\xfe.png")).touch()
    summary = prepare("odd", source, data_dir=tmp_path / "data", workers=1)
    rows = read_manifest(summary.directory)
    assert {row.image_id for row in rows if row.label} == {f'mel {i}\n\r,"é' for i in range(6)}
    assert {row.image_id for row in rows if not row.label} == {f"nv\\xff\n{i}" for i in range(6)}
    assert [item["source_path"] for item in read_quarantine(summary.directory)] == ["NotMelanoma/bad\\xfe.png"]
    ids = [record["image_id"].decode() for split in SPLITS for record in by_tfds(summary.directory, split)]
    assert ids == [row.image_id for row in rows]


def test_identical_files_stay_in_one_split_whatever_their_lesion(tmp_path, write_image):
    source = tmp_path / "source"
    for i in range(8):
        path = write_image(source / ("Melanoma", "NotMelanoma")[i % 2] / f"a{i}.png")
        path.with_name(f"copy{i}.png").write_bytes(path.read_bytes())
    rows = read_manifest(prepare("copies", source, data_dir=tmp_path / "data", workers=1).directory)
    assert max(len({row.split for row in rows if row.sha256 == sha}) for sha in {row.sha256 for row in rows}) == 1


def test_kaggle_keeps_its_splits_and_is_stamped_leaky(tmp_path, write_image):
    source = tmp_path / "kaggle"
    for split in ("train_sep", "valid", "test"):
        for i in range(2):
            write_image(source / split / "Melanoma" / f"AUG_0_{split}{i}.jpeg")
            write_image(source / split / "NotMelanoma" / f"ISIC_{split}{i}.jpg")
    facts = prepare("kaggle", source, data_dir=tmp_path / "data", workers=1).facts
    assert (facts.protocol, facts.counts) == ("given", {split: [2, 2] for split in SPLITS})
    assert facts.leaky
    assert facts.leak == "4 augmented copies (AUG_*) of unknown originals outside of training"


def test_copies_are_written_stamped_and_accounted_for(ham_source, tmp_path, monkeypatch):
    monkeypatch.setattr(workers, "WORTH_A_POOL", 0)
    one, three = (
        prepare("ham", ham_source, protocol="paper", examples=14, data_dir=tmp_path / f"{n}", workers=n) for n in (1, 3)
    )
    assert contents(one.directory) == contents(three.directory)
    facts = read_facts(one.directory)
    assert facts.counts == {"train": [4, 4], "validation": [2, 2], "test": [1, 2]}
    assert (facts.files, facts.images, facts.copies, facts.not_selected, facts.left_out) == (24, 15, 8, 10, 7)
    assert facts.leaky
    info = tfds.builder_from_directory(str(one.directory)).info
    assert info.metadata["leaky"] is True
    assert info.description.startswith(f"LEAKY: {facts.leak}. ")
    lesion_of = {f"ISIC_{i:07d}": f"HAM_{i // 2:07d}" for i in range(24)}
    for split in SPLITS:
        source = open_split(one.directory, split)
        for i, row in enumerate(row for row in read_manifest(one.directory) if row.split == split):
            pixels = source[i]["image"]
            original = load_image(ham_source / row.source_path).image
            assert bool(row.augmented_from) == bool(row.label) == row.image_id.startswith("AUG_0_")
            if not row.augmented_from:
                np.testing.assert_array_equal(pixels, original)
                continue
            assert row.lesion_id == lesion_of[row.augmented_from]
            assert row.source_path.endswith(f"{row.augmented_from}.png")
            assert row.sha256 == hashlib.sha256(pixels.tobytes()).hexdigest()
            assert (row.width, row.height) == (224, 224)
            copies = [apply_affine(original, draw_affine(0, row.augmented_from, k)) for k in (1, 2)]
            assert any(np.array_equal(pixels, copy) for copy in copies)


def test_what_is_sub_sampled_is_counted(ham_source, tmp_path):
    facts = prepare("ham", ham_source, protocol="paper_clean", data_dir=tmp_path / "data", workers=1).facts
    assert facts.counts == {"train": [8, 8], "validation": [2, 2], "test": [2, 2]}
    assert (facts.files, facts.copies, facts.left_out, facts.leaky, facts.leak) == (24, 4, 4, False, "")


def test_drawn_lesions_can_be_augmented_too(tmp_path):
    facts = prepare(
        "drawn", layout="synthetic", protocol="paper_by_lesion", examples=24, data_dir=tmp_path, workers=1
    ).facts
    assert (facts.images, facts.copies, facts.left_out, facts.leaky) == (25, 13, 12, True)
    assert facts.leak.startswith("only melanomas are augmented copies")


def test_down_selection_is_balanced_random_and_counted(ham_source, tmp_path):
    summaries = [
        prepare(f"few{seed}", ham_source, data_dir=tmp_path / "data", examples=12, seed=seed, workers=1)
        for seed in (0, 1)
    ]
    chosen = [{row.image_id for row in read_manifest(summary.directory)} for summary in summaries]
    assert chosen[0] != chosen[1]
    facts = summaries[0].facts
    assert (facts.images, facts.not_selected, facts.files) == (12, 12, 24)
    assert Counter(row.label for row in read_manifest(summaries[0].directory)) == {0: 6, 1: 6}


def test_more_examples_than_there_are_is_refused(ham_source, tmp_path):
    with pytest.raises(UserError, match="examples=20 needs 10 melanoma images and the source has 8; ask for fewer"):
        prepare("ham", ham_source, data_dir=tmp_path / "data", examples=20, workers=1)


def test_a_second_call_does_nothing(prepared, ham_source, tmp_path):
    before = {path: path.stat().st_mtime_ns for path in prepared.directory.rglob("*")}
    again = prepare("ham", ham_source, data_dir=tmp_path / "data", workers=2)
    assert again.already_prepared
    assert again.facts == prepared.facts
    assert {path: path.stat().st_mtime_ns for path in prepared.directory.rglob("*")} == before


def test_other_settings_are_refused_naming_the_difference(prepared, ham_source, tmp_path):
    with pytest.raises(UserError, match="was prepared with seed=0, not 1; give --overwrite to replace it, or another"):
        prepare("ham", ham_source, data_dir=tmp_path / "data", seed=1, workers=1)
    next(ham_source.rglob("*.png")).unlink()
    with pytest.raises(UserError, match="was prepared from another source or with other choices; give --overwrite"):
        prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)


def test_overwrite_replaces(prepared, ham_source, tmp_path):
    replaced = prepare("ham", ham_source, data_dir=tmp_path / "data", seed=1, overwrite=True, workers=1)
    assert read_facts(replaced.directory) == replaced.facts != prepared.facts
    assert {path.name for path in prepared.directory.parent.iterdir()} == {".lock", "1.0.1"}


def test_a_failed_prepare_leaves_nothing(ham_source, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "describe", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)
    assert {path.name for path in (tmp_path / "data" / "ham").iterdir()} == {".lock"}


def is_running(process):
    status = Path(f"/proc/{process}/status")
    return status.exists() and "State:\tZ" not in status.read_text()


@pytest.mark.skipif(sys.platform != "linux", reason="finds the worker processes through /proc")
def test_a_killed_prepare_looks_unfinished_leaves_no_process_and_is_cleaned_up(tmp_path):
    data = tmp_path / "data"
    code = "import sys; from pathlib import Path; from mole_jax.data.prepare.prepare import prepare\n"
    code += "if __name__ == '__main__': prepare('synthetic', data_dir=Path(sys.argv[1]), examples=4000, workers=2)"
    script = tmp_path / "kill_me.py"
    script.write_text(code)
    command = [sys.executable, str(script), str(data)]
    child = subprocess.Popen(command, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)})
    scratch = data / "synthetic" / ".1.0.0.incomplete" / f"scratch-{child.pid}"
    while not (scratch.exists() and scratch.stat().st_size):
        assert child.poll() is None
        time.sleep(0.02)
    workers = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    child.send_signal(signal.SIGKILL)
    child.wait()
    assert workers
    with pytest.raises(UserError, match="no dataset 'synthetic' in"):
        dataset_directory(data, "synthetic")
    while any(is_running(worker) for worker in workers):
        time.sleep(0.02)
    summary = prepare("synthetic", data_dir=data, examples=20, workers=1)
    assert {path.name for path in (data / "synthetic").iterdir()} == {".lock", "1.0.0"}
    assert summary.facts.images == 20


def test_two_at_once_are_refused(ham_source, tmp_path):
    with (
        exclusive(tmp_path / "data" / "ham", busy="held"),
        pytest.raises(UserError, match="another process is preparing"),
    ):
        prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)


def test_one_class_only_is_refused(tmp_path, write_image):
    write_image(tmp_path / "source" / "Melanoma" / "a.png")
    (tmp_path / "source" / "NotMelanoma").mkdir()
    (tmp_path / "source" / "NotMelanoma" / "b.png").touch()
    message = (
        r"no usable mole image \(1 melanoma and 1 quarantined, such as 'NotMelanoma/b.png': empty file\); both classes"
    )
    with pytest.raises(UserError, match=message):
        prepare("one", tmp_path / "source", data_dir=tmp_path / "data", workers=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "Has Space"}, "dataset name 'Has Space': use lower-case letters"),
        ({"layout": "tree"}, "layout 'tree' is not one of auto, kaggle, ham10000, folder, table, npz, synthetic"),
        ({"layout": "synthetic"}, "layout synthetic draws its images and takes no source"),
        ({"source": None}, "dataset 'ham' needs a source; give --source=DIR"),
        ({"name": "synthetic"}, "the name synthetic is kept for drawn images"),
        ({"protocol": "random"}, "protocol 'random' is not one of auto, given, grouped, paper"),
        ({"examples": 3}, "examples=3 is not an even number"),
        ({"examples": -2}, "examples=-2 is not an even number"),
        ({"seed": -1}, "seed=-1 is negative"),
        ({"workers": 0}, "workers=0 is too small; the smallest is 1"),
    ],
)
def test_wrong_arguments_are_named(ham_source, tmp_path, arguments, message):
    given = {"name": "ham", "source": ham_source, "data_dir": tmp_path / "data"} | arguments
    with pytest.raises(UserError, match=message):
        prepare(given.pop("name"), given.pop("source"), **given)


def test_output_inside_the_source_is_refused(ham_source):
    with pytest.raises(UserError, match=r"lies inside the source .* its own input"):
        prepare("ham", ham_source, data_dir=ham_source / "data")


def test_too_little_space_is_noticed_before_the_work(ham_source, tmp_path, monkeypatch):
    usage = dataclasses.make_dataclass("Usage", ["free"])(1000)
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage)
    with pytest.raises(UserError, match=r"24 images need 0.0 GB and '.*ham' has 0.0 GB free"):
        prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)


def test_a_data_dir_that_cannot_be_made_is_named(ham_source, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write below '.*file/ham' .Not a directory.; give another --data_dir"):
        prepare("ham", ham_source, data_dir=tmp_path / "file", workers=1)


def test_missing_datasets_and_splits_are_named(prepared, tmp_path):
    assert dataset_directory(tmp_path / "data", "ham") == prepared.directory
    with pytest.raises(UserError, match=r"no dataset 'kaggle' in .*prepared are ham.*--dataset=kaggle --source=DIR"):
        dataset_directory(tmp_path / "data", "kaggle")
    with pytest.raises(UserError, match="split 'valid' is not one of train, validation, test"):
        open_split(prepared.directory, "valid")
    with pytest.raises(UserError, match="holds no prepared dataset"):
        open_split(tmp_path, "train")
    with pytest.raises(UserError, match="holds no prepared dataset"):
        read_facts(tmp_path)


def test_workers_are_light():
    heavy = {"jax", "tensorflow_datasets", "sklearn"}
    code = f"import mole_jax.data.prepare.prepare, sys; print(sorted({heavy} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, cwd=ROOT)
    assert result.stdout.strip() == "[]"


def test_real_originals_end_to_end(test_data, tmp_path):
    source = test_data / "data" / "ham10000_600x450"
    summary = prepare("originals", source, data_dir=tmp_path / "data", workers=1)
    assert (summary.facts.layout, summary.facts.images, summary.facts.quarantined) == ("folder", 24, 0)
    assert {(row.width, row.height) for row in read_manifest(summary.directory)} == {(600, 450)}
    record = by_tfds(summary.directory, "train")[0]
    pixels = np.asarray(Image.open(source / record["source_path"].decode())).astype(float)[1:449, 76:524]
    means = pixels.reshape(224, 2, 224, 2, 3).mean(axis=(1, 3))
    np.testing.assert_array_equal(record["image"], np.floor(means + 0.5))


def test_patients_are_in_the_manifest_and_older_manifests_still_load(ham_source, tmp_path):
    table = ham_source / "HAM10000_metadata.csv"
    lines = table.read_text().splitlines()
    patients = ["patient_id", *(f"P{i // 4}" if i < 20 else "NA" for i in range(24))]
    table.write_text("".join(f"{line},{patient}\n" for line, patient in zip(lines, patients, strict=True)))
    summary = prepare("ham", ham_source, data_dir=tmp_path / "data", workers=1)
    rows = read_manifest(summary.directory)
    assert len({(row.patient_id, row.split) for row in rows if row.patient_id}) == 5
    assert sum(not row.patient_id for row in rows) == 4
    manifest = summary.directory / "manifest.csv"
    manifest.write_text("".join(f"{line.rpartition(',')[0]}\n" for line in manifest.read_text().splitlines()))
    assert {row.patient_id for row in read_manifest(summary.directory)} == {""}


def test_lesions_of_a_table_show_that_given_splits_leak(tmp_path, write_image):
    for split in ("train", "valid", "test"):
        for i in range(4):
            write_image(tmp_path / "src" / split / ("Melanoma", "NotMelanoma")[i % 2] / f"{split}{i}.png")
    rows = [f"L{i},{split}{i}" for split in ("train", "valid", "test") for i in range(4)]
    (tmp_path / "src" / "lesions.csv").write_text("\n".join(["lesion_id,image_id", *rows, ""]))
    facts = prepare("x", tmp_path / "src", data_dir=tmp_path / "data", workers=1).facts
    assert (facts.protocol, facts.leaky, facts.leak) == ("given", True, "4 lesions in more than one split")
