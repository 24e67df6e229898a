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

from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.prepare.prepare import prepare
from mole_jax.errors import UserError
from mole_jax.inputs.imagenet import preprocess
from mole_jax.models.transfer import WIDTHS, extract
from mole_jax.training import feature_cache
from mole_jax.training.feature_sharing import stored_elsewhere
from mole_jax.training.feature_store import FeatureCache
from mole_jax.training.loop import train
from mole_jax.training.phases import is_cached

CONFIG = RunConfig(model="transfer", head="linear", normalize="weights", batch_size=8, epochs=2, bn_momentum=0.9)


@pytest.fixture
def own(data_dir, tmp_path):
    """A copy of the dataset, whose features may be damaged."""
    shutil.copytree(data_dir, tmp_path / "data")
    shutil.rmtree(tmp_path / "data" / "synthetic" / "1.0.0" / "features", ignore_errors=True)
    return load_dataset(tmp_path / "data", "synthetic")


def cache(dataset, tiny, name="weights"):
    return FeatureCache(
        dataset, tiny, normalize=lambda x, mask: preprocess(x, "torchvision"), normalize_name=name, dtype="float32"
    )


def lines(run_dir):
    return [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]


def test_maps_and_pooled_are_the_networks_own(own, tiny):
    images = np.stack([own.splits["test"][i]["image"] for i in range(3)])
    expected = extract(tiny.config, tiny.variables, preprocess(jnp.asarray(images), "torchvision"))
    for level, tolerance in (("pooled", 1e-5), ("maps", 1e-3)):
        sources = cache(own, tiny).sources(level)
        records = [sources["test"][i] for i in range(3)]
        np.testing.assert_allclose([r["image"] for r in records], expected[level], rtol=tolerance, atol=tolerance)
        assert [r["label"] for r in records] == [row.label for row in own.rows["test"][:3]]
        assert {split: len(source) for split, source in sources.items()} == {s: len(r) for s, r in own.rows.items()}


def test_pooled_features_are_the_same_bits_with_and_without_the_maps(own, tiny):
    train = cache(own, tiny).sources("pooled")["train"]
    alone = [np.array(train[i]["image"]) for i in range(2)]
    shutil.rmtree(cache(own, tiny).directory)
    cache(own, tiny).sources("maps")
    beside = cache(own, tiny).sources("pooled")["train"]
    np.testing.assert_array_equal(alone, [beside[i]["image"] for i in range(2)])


def test_they_are_computed_once(own, tiny, monkeypatch):
    cache(own, tiny).sources("maps")
    monkeypatch.setattr(FeatureCache, "_compute", None)
    cache(own, tiny).sources("maps")
    cache(own, tiny).sources("pooled")


def other_dataset(own, *, keep):
    """Beside `own` a dataset of other images, but for a part of own's in another split."""
    data_dir = own.directory.parents[1]
    prepare("other", layout="synthetic", examples=60, data_dir=data_dir, seed=7)
    other = load_dataset(data_dir, "other")
    mixed = MixedSource(other.splits["test"], own.splits["train"], keep)
    return dataclasses.replace(other, splits={**other.splits, "test": mixed})


class MixedSource:
    """A split whose first images are those of another one."""

    def __init__(self, source, donor, keep):
        self.source, self.donor, self.keep = source, donor, keep

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        return (self.donor if index < self.keep else self.source)[index]


@pytest.mark.parametrize("level", ["pooled", "maps"])
def test_images_that_another_dataset_has_are_not_computed_again(own, tiny, monkeypatch, level):
    stored = cache(own, tiny).sources(level)["train"]
    other = other_dataset(own, keep=5)
    finite, rows = feature_cache._finite, []
    monkeypatch.setattr(feature_cache, "_finite", lambda r, *names: rows.append((names, len(r))) or finite(r, *names))
    features = cache(other, tiny).sources(level)["test"]
    assert sum(n for names, n in rows if names == (level, "test")) == len(features) - 5
    assert sum(n for names, n in rows if names == (level, "train")) == len(other.splits["train"])
    for key in range(5):
        np.testing.assert_array_equal(features[key]["image"], stored[key]["image"])
    image = other.splits["test"][5]["image"][None]
    expected = extract(tiny.config, tiny.variables, preprocess(jnp.asarray(image), "torchvision"))[level][0]
    np.testing.assert_allclose(features[5]["image"], expected, rtol=2e-3, atol=1e-3)


def test_a_dataset_whose_images_are_all_known_needs_no_network(own, tiny, monkeypatch):
    stored = cache(own, tiny).sources("pooled")
    twin = own.directory.parents[1] / "twin" / "1.0.0"
    shutil.copytree(own.directory, twin, ignore=shutil.ignore_patterns("features"))
    monkeypatch.setattr(feature_cache, "_finite", None)
    facts = dataclasses.replace(own.facts, fingerprint="of the twin")
    features = cache(dataclasses.replace(own, directory=twin, facts=facts), tiny).sources("pooled")
    for split, source in stored.items():
        assert len(features[split]) == len(source)
        for i in range(len(source)):
            np.testing.assert_array_equal(features[split][i]["image"], source[i]["image"])


@pytest.mark.parametrize("harm", ["features", "facts", "weights", "preprocessing"])
def test_features_of_a_neighbour_that_do_not_fit_are_not_taken(own, tiny, harm):
    cache(own, tiny).sources("pooled")
    neighbour, identity = own.directory, {**cache(own, tiny)._identity, "dataset_fingerprint": "mine"}
    mine = own.directory.parents[1] / "mine" / "1.0.0" / "features" / "key"
    assert len(stored_elsewhere(mine, identity, ["pooled"])) == own.facts.images
    if harm == "features":
        damage_byte(cache(own, tiny).directory / "pooled")
    elif harm == "facts":  # prepared anew since
        path = neighbour / "metadata.json"
        path.write_text(path.read_text().replace(own.facts.fingerprint, "0" * 64))
    elif harm == "weights":
        identity["weights"] = {"sha256": "other"}
    else:
        identity["normalize"] = "dataset [0.5, 0.5, 0.5]"
    assert stored_elsewhere(mine, identity, ["pooled"]) == {}


def test_other_weights_data_or_preprocessing_are_other_features(own, tiny):
    changed = dataclasses.replace(tiny, provenance=dataclasses.replace(tiny.provenance, sha256="other"))
    moved = dataclasses.replace(tiny, provenance=dataclasses.replace(tiny.provenance, file="elsewhere"))
    other = dataclasses.replace(own, facts=dataclasses.replace(own.facts, fingerprint="other"))
    keys = [cache(own, tiny), cache(own, changed), cache(own, tiny, "image"), cache(other, tiny)]
    assert len({c.directory for c in keys}) == 4
    assert cache(own, moved).directory == cache(own, tiny).directory


def damage_length(folder):
    path = folder / "train.npy"
    path.write_bytes(path.read_bytes()[:-4])


def damage_byte(folder):
    path = folder / "validation.npy"
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(content)


def damage_meta(folder):
    (folder / "meta.json").write_text("{")


def damage_identity(folder):
    meta = json.loads((folder / "meta.json").read_text())
    meta["identity"]["dataset_fingerprint"] = "x"
    (folder / "meta.json").write_text(json.dumps(meta))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (damage_length, r"train.npy is \d+ bytes long instead of \d+; its features are computed again"),
        (damage_byte, r"validation.npy has changed since it was written \(its checksum differs\)"),
        (damage_meta, r"pooled is damaged \(JSONDecodeError"),
        (damage_identity, r"meta.json describes other features than its folder's name says"),
        (lambda folder: (folder / "test.npy").unlink(), r"pooled is damaged \(FileNotFoundError: .*test\.npy"),
    ],
)
def test_damage_is_named_and_mended(own, tiny, caplog, damage, message):
    before = np.array(cache(own, tiny).sources("pooled")["train"][3]["image"])
    damage(cache(own, tiny).directory / "pooled")
    with caplog.at_level(logging.WARNING):
        after = cache(own, tiny).sources("pooled")["train"][3]["image"]
    assert re.search(message, caplog.text)
    np.testing.assert_array_equal(before, after)


def test_a_killed_pass_goes_on_where_it_stopped(own, tiny, monkeypatch):
    whole = cache(own, tiny).sources("maps")
    expected = {split: [np.array(s[i]["image"]) for i in range(len(s))] for split, s in whole.items()}
    shutil.rmtree(cache(own, tiny).directory)
    monkeypatch.setattr(feature_cache, "batch_size", lambda: 4)
    finite, calls = feature_cache._finite, []

    def stop_at_fifth(*args):
        calls.append(args)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return finite(*args)

    monkeypatch.setattr(feature_cache, "_finite", stop_at_fifth)
    with pytest.raises(KeyboardInterrupt):
        cache(own, tiny).sources("maps")
    assert not (cache(own, tiny).directory / "maps").exists()
    images = sum(len(split) for split in own.splits.values())
    sources = cache(own, tiny).sources("maps")
    assert len(calls) < 2 * -(-images // 4) + 2 * 3 + 5, "the rows that were done are not done again"
    for split, rows in expected.items():
        got = [sources[split][i]["image"] for i in range(len(rows))]
        np.testing.assert_allclose(got, rows, rtol=2e-3, atol=1e-4)


def test_features_too_large_for_their_type_are_refused(own, tiny):
    loud = jax.tree.map(lambda x: x * 1e3, tiny.variables)
    huge = dataclasses.replace(tiny, variables=loud)
    with pytest.raises(UserError, match=r"maps on the train split that are not finite or too large for float16: check"):
        cache(own, huge).sources("maps")


def test_a_full_disk_is_refused_before_the_work(own, tiny, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(UserError, match=r"the features need 0\.0 GB and .* has 0\.0 GB free: make room, .*=off"):
        cache(own, tiny).sources("maps")


def test_a_folder_that_cannot_be_written_is_named(own, tiny):
    (own.directory / "features").write_text("a file in the way")
    with pytest.raises(UserError, match=r"cannot write features below .*: give --feature_cache=off"):
        cache(own, tiny).sources("pooled")


@pytest.mark.parametrize("head", ["paper", "pooled", "linear"])
def test_training_from_stored_features_is_training_from_images(head, dataset, tiny, tmp_path, monkeypatch):
    monkeypatch.setitem(WIDTHS, "paper", (8, 1))
    config = dataclasses.replace(CONFIG, head=head, l2=0.01, weight_decay=0.01)
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


def test_what_changes_from_draw_to_draw_is_not_stored():
    assert is_cached(CONFIG)
    for change in ({"feature_cache": "off"}, {"augment": "dihedral"}, {"normalize": "batch"}):
        assert not is_cached(dataclasses.replace(CONFIG, **change))
