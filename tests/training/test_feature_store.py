"""Stored features: the network's own, trained on like the images, and never trusted when damaged."""

import dataclasses
import json
import logging
import re
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from mole_jax.classifier.network import Frozen, build_network, first_stage
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.files.sums import seal_all
from mole_jax.inputs.normalize import Inputs, normalizer
from mole_jax.models.transfer import WIDTHS, extract
from mole_jax.training import feature_store
from mole_jax.training.blocks import Blocks
from mole_jax.training.feature_store import FEATURES, FeatureStore
from mole_jax.training.loop import train

CONFIG = RunConfig(model="transfer", head="linear", normalize="weights", batch_size=8, epochs=2, bn_momentum=0.9)


@pytest.fixture
def own(data_dir, tmp_path):
    """A copy of the dataset, whose features may be damaged."""
    shutil.copytree(data_dir / "synthetic", tmp_path / "data" / "synthetic")
    return load_dataset(tmp_path / "data", "synthetic")


def store(dataset, tiny, level="pooled", inputs=Inputs("torchvision")):  # noqa: B008
    return FeatureStore(dataset.directory.parents[1], Frozen(tiny, inputs, level, "float32"))


def expected(tiny, images):
    fed = normalizer(Inputs("torchvision"))(jnp.asarray(images), jnp.ones(len(images), bool))
    return extract(tiny.config, tiny.variables, fed)


def lines(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


@pytest.fixture
def computed(monkeypatch):
    """How many rows of features the network has made, by level."""
    finite, rows = feature_store._finite, {"pooled": 0, "maps": 0}

    def count(of_batch, level):
        rows[level] += len(of_batch)
        return finite(of_batch, level)

    monkeypatch.setattr(feature_store, "_finite", count)
    return rows


def test_maps_and_pooled_are_the_networks_own(own, tiny):
    images = np.stack([own.splits["test"][i]["image"] for i in range(3)])
    for level, tolerance in (("pooled", 1e-5), ("maps", 1e-3)):
        sources = store(own, tiny, level).sources(own)
        records = [sources["test"][i] for i in range(3)]
        theirs = expected(tiny, images)[level]
        np.testing.assert_allclose([r["image"] for r in records], theirs, rtol=tolerance, atol=tolerance)
        assert [r["label"] for r in records] == [row.label for row in own.rows["test"][:3]]
        assert {split: len(source) for split, source in sources.items()} == {s: len(r) for s, r in own.rows.items()}


def test_pooled_features_are_the_same_bits_with_and_without_the_maps(own, tiny):
    train = store(own, tiny).sources(own)["train"]
    alone = [np.array(train[i]["image"]) for i in range(2)]
    shutil.rmtree(store(own, tiny).directory)
    store(own, tiny, "maps").sources(own)
    beside = store(own, tiny).sources(own)["train"]
    np.testing.assert_array_equal(alone, [beside[i]["image"] for i in range(2)])


def test_they_are_computed_once_in_blocks_and_told_of(own, tiny, computed, monkeypatch):
    monkeypatch.setattr(feature_store, "BLOCK", 16)
    told = []
    store(own, tiny, "maps").sources(own, tell=told.append)
    images = own.facts.images
    assert computed == {"pooled": images, "maps": images}
    assert len(told) == -(-images // 16)
    assert re.fullmatch(r"features of 16 of 50 images, [\d.]+ images/s, 0 min left", told[0])
    blocks = sorted((store(own, tiny).directory / "maps").iterdir())
    assert [path.name for path in blocks] == ["000000", "000001", "000002", "000003"]
    store(own, tiny, "maps").sources(own)
    store(own, tiny, "pooled").sources(own)
    assert computed == {"pooled": images, "maps": images}


@pytest.mark.parametrize("level", ["pooled", "maps"])
def test_images_that_another_dataset_has_are_not_computed_again(own, tiny, computed, level):
    stored = store(own, tiny, level).sources(own)
    before = computed[level]
    data_dir = own.directory.parents[1]
    prepare("other", layout="synthetic", examples=60, data_dir=data_dir, seed=7, workers=1)
    other = load_dataset(data_dir, "other")
    # Some of own's training images stand in its test split.
    rows = [*own.rows["train"][:5], *other.rows["test"][5:]]
    mixed = dataclasses.replace(
        other,
        rows={**other.rows, "test": rows},
        splits={**other.splits, "test": Mixed(other.splits["test"], own.splits["train"], 5)},
    )
    features = store(mixed, tiny, level).sources(mixed)
    assert computed[level] - before == other.facts.images - 5
    for i in range(5):
        np.testing.assert_array_equal(features["test"][i]["image"], stored["train"][i]["image"])
    image = other.splits["test"][5]["image"][None]
    np.testing.assert_allclose(features["test"][5]["image"], expected(tiny, image)[level][0], rtol=2e-3, atol=1e-3)


class Mixed:
    """A split whose first images are those of another one."""

    def __init__(self, source, donor, keep):
        self.source, self.donor, self.keep = source, donor, keep

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return (self.donor if index < self.keep else self.source)[index]


def test_a_dataset_whose_images_are_all_known_needs_no_network(own, tiny, computed):
    stored = store(own, tiny).sources(own)
    data_dir = own.directory.parents[1]
    shutil.copytree(own.directory, data_dir / "twin" / "1.0.0")
    twin = load_dataset(data_dir, "twin")
    features = store(twin, tiny).sources(twin)
    assert computed["pooled"] == own.facts.images
    for split, source in stored.items():
        for i in range(len(source)):
            np.testing.assert_array_equal(features[split][i]["image"], source[i]["image"])


def test_a_dataset_from_before_the_column_of_pixels_has_the_same_features(own, tiny, computed):
    store(own, tiny).sources(own)
    without = {split: [dataclasses.replace(row, pixels="") for row in rows] for split, rows in own.rows.items()}
    old = dataclasses.replace(own, rows=without)
    assert [row.pixels for row in own.rows["test"]] == [digest.hex() for digest in old.pixel_digests("test")]
    store(old, tiny).sources(old)
    assert computed["pooled"] == own.facts.images


def test_other_weights_or_preprocessing_are_other_features(own, tiny):
    changed = dataclasses.replace(tiny, provenance=dataclasses.replace(tiny.provenance, sha256="other"))
    moved = dataclasses.replace(tiny, provenance=dataclasses.replace(tiny.provenance, file="elsewhere"))
    others = [
        store(own, tiny),
        store(own, changed),
        store(own, tiny, inputs=Inputs("image")),
        store(own, tiny, inputs=Inputs("dataset", (0.5, 0.5, 0.5))),
        store(own, tiny, inputs=Inputs("dataset", (0.5, 0.5, 0.4))),
    ]
    assert len({each.directory for each in others}) == 5
    assert store(own, moved).directory == store(own, tiny).directory


def damage_length(block):
    path = block / "rows.npy"
    path.write_bytes(path.read_bytes()[:-4])


def damage_byte(block):
    path = block / "rows.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def damage_identity(block):
    meta = json.loads((block / "meta.json").read_text())
    meta["identity"]["compute_dtype"] = "x"
    (block / "meta.json").write_text(json.dumps(meta))
    seal_all(block, FEATURES)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            damage_length,
            r"rows.npy has changed since it was written \(.*\); its features are computed again",
        ),
        (damage_byte, r"rows.npy has changed since it was written \(its SHA-256 differs\)"),
        (lambda block: (block / "meta.json").write_text("{"), r"meta.json has changed since it was written"),
        (
            lambda block: (block / "SHA256SUMS").unlink(),
            r"000000 has no SHA256SUMS of mole_jax; its features are",
        ),
        (damage_identity, r"meta.json describes other features than its folder's name says"),
        (lambda block: (block / "digests.npy").unlink(), r"digests\.npy is missing"),
    ],
)
def test_damage_is_named_and_mended(own, tiny, caplog, damage, message):
    before = np.array(store(own, tiny).sources(own)["train"][3]["image"])
    damage(store(own, tiny).directory / "pooled" / "000000")
    with caplog.at_level(logging.WARNING):
        after = store(own, tiny).sources(own)["train"][3]["image"]
    assert re.search(message, caplog.text)
    np.testing.assert_array_equal(before, after)


def test_a_killed_pass_goes_on_from_the_last_whole_block(own, tiny, computed, monkeypatch):
    monkeypatch.setattr(feature_store, "BLOCK", 16)
    whole = store(own, tiny, "maps").sources(own)
    before = {split: [np.array(s[i]["image"]) for i in range(len(s))] for split, s in whole.items()}
    shutil.rmtree(store(own, tiny).directory)
    write, count = Blocks.write, []

    def stop_at_the_third_block(self, level, rows, digests):
        count.append(level)
        if len(count) == 5:
            raise KeyboardInterrupt
        write(self, level, rows, digests)

    monkeypatch.setattr(Blocks, "write", stop_at_the_third_block)
    with pytest.raises(KeyboardInterrupt):
        store(own, tiny, "maps").sources(own)
    computed["maps"] = 0
    sources = store(own, tiny, "maps").sources(own)
    assert computed["maps"] == own.facts.images - 32
    for split, rows in before.items():
        np.testing.assert_array_equal([sources[split][i]["image"] for i in range(len(rows))], rows)


def test_features_too_large_for_their_type_are_refused(own, tiny):
    loud = jax.tree.map(lambda x: x * 1e3, tiny.variables)
    huge = dataclasses.replace(tiny, variables=loud)
    with pytest.raises(UserError, match=r"gives \w+ that are not finite or too large for float\d\d: check --weights"):
        store(own, huge, "maps").sources(own)


def test_a_full_disk_is_refused_before_the_work(own, tiny, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match=r"the features need 0\.0 GB and .* has 0\.0 GB free: make room, .*=off"):
        store(own, tiny, "maps").sources(own)


def test_a_folder_that_cannot_be_written_is_named(own, tiny):
    (own.directory.parents[1] / "_features").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot write below .*; give --feature_cache=off, or a --data_dir"):
        store(own, tiny).sources(own)


@pytest.mark.parametrize("head", ["paper", "pooled", "linear"])
def test_training_from_stored_features_is_training_from_images(head, dataset, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(WIDTHS, "paper", (8,))
    config = dataclasses.replace(CONFIG, head=head, l2=0.01, weight_decay=0.01)
    for run in ("stored", "direct"):
        (tmp_path / run).mkdir()
    stored = train(config, dataset, tmp_path / "stored", pretrained=tiny)
    direct = train(dataclasses.replace(config, feature_cache="off"), dataset, tmp_path / "direct", pretrained=tiny)
    losses = [
        [row["train_loss"] for row in lines(tmp_path / run) if "train_loss" in row] for run in ("stored", "direct")
    ]
    assert len(losses[0]) == len(losses[1]) > 6
    np.testing.assert_allclose(*losses, rtol=5e-3)
    for split, logits in stored.logits.items():
        np.testing.assert_allclose(logits, direct.logits[split], rtol=0.02, atol=0.02)
    assert set(stored.variables["params"]) == {"head"}
    jax.tree.map(
        lambda a, b: np.testing.assert_array_equal(np.asarray(a).view(np.uint32), b.view(np.uint32)),
        direct.variables["params"]["backbone"],
        tiny.variables["params"],
    )
    jax.tree.map(
        np.testing.assert_array_equal, direct.variables["batch_stats"]["backbone"], tiny.variables["batch_stats"]
    )


def test_what_changes_from_draw_to_draw_is_not_stored(tiny):
    fine_tuned = {"augment": "strong", "finetune_epochs": 1}
    for change in ({}, {"augment": "dihedral"}, {"head": "paper"}, fine_tuned):
        assert first_stage(dataclasses.replace(CONFIG, **change)) == "head", change
    for change in ({"feature_cache": "off"}, {"normalize": "batch"}, {"head": "paper", "augment": "dihedral"}):
        assert first_stage(dataclasses.replace(CONFIG, **change)) == "images", change
    network = build_network(CONFIG, Inputs("torchvision"), tiny, stage="images")
    assert network.frozen is None
