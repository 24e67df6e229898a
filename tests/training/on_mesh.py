"""What `test_mesh.py` looks at, computed in a process of its own: a CPU pretends to be several only from its start.

    XLA_FLAGS=--xla_force_host_platform_device_count=8 python -m tests.training.on_mesh DATA_DIR WORK

Writes WORK/found.pickle: a dict of plain numbers and arrays by check.
"""

import dataclasses
import json
import pickle
import sys
from pathlib import Path

import jax
import numpy as np

from benchmarks.footprint import footprint
from mole_jax import placement
from mole_jax.backbones.load import load_pretrained
from mole_jax.backbones.resnet import ResNetConfig
from mole_jax.classifier import network
from mole_jax.classifier.network import Frozen, build_network, inputs_of
from mole_jax.classifier.scoring import scorer
from mole_jax.config import RunConfig
from mole_jax.data.dataset import load_dataset
from mole_jax.data.loader import steps_per_epoch
from mole_jax.inputs.normalize import Inputs, normalizer
from mole_jax.models import cnn, cnn_released, logistic, mlp
from mole_jax.models.transfer import on_features, on_images
from mole_jax.placement import placement_of
from mole_jax.studies.stacked import train_stacked
from mole_jax.training import loop, phases
from mole_jax.training.feature_store import FeatureStore
from mole_jax.training.loop import train
from mole_jax.training.optimizer import build_optimizer
from mole_jax.training.state import initial_state
from mole_jax.training.steps import train_step
from mole_jax.vocabulary.diagnoses import GROUPS

MESHES = ("1", "2", "8")
PARTED = ("mlp", "transfer")  # models with a layer that is parted on a mesh of 4x2
STEPS, BATCH, SIDE = 20, 8, 18
TINY = ResNetConfig(stage_sizes=(2, 1), width=4)
SMALL = 1024  # numbers in a kernel that is parted here
CHANGED = {"model": "transfer", "head": "linear", "feature_cache": "off", "augment": "strong mixup=.2"}
CHANGED |= {"diagnosis_weight": 1.0, "ema": 0.9, "clip_norm": 1.0}
LOGISTIC = RunConfig(model="logistic", batch_size=8, epochs=2, learning_rate=1e-4)
HEAD = RunConfig(model="transfer", weights="random", normalize="weights", head="pooled", batch_size=8, epochs=2)


def models():
    """name -> (model, the shape of its inputs, settings)."""
    image = (SIDE, SIDE, 3)
    return {
        "logistic": (logistic.model(), image, {"learning_rate": 1e-4}),
        "mlp": (mlp.model(widths=(32, 16, 1)), image, {"l2": 1e-3}),
        "cnn": (cnn.model(blocks=cnn.BLOCKS[:2]), image, {"augment": "dihedral"}),
        "cnn_released": (cnn_released.model(), image, {"normalize": "batch"}),
        "transfer": (on_features("pooled", dropout=0.2), (64,), {"model": "transfer"}),
        "fine_tuned": (on_images(TINY, "linear", unfreeze=0.5), image, {"model": "transfer", "balance": "weights"}),
        "changed": (on_images(TINY, "linear", unfreeze=1.0, classes=1 + len(GROUPS)), image, CHANGED),
    }


def steps(model, shape, settings, mesh):
    """The losses of 20 steps, and the variables after them."""
    config = RunConfig(**{"model": "mlp", "mesh": mesh, "batch_size": BATCH, **settings})
    at = placement_of(config)
    trainable = model.trainable(
        jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=(1, *shape)))["params"]
    )
    optimizer = build_optimizer(config, trainable)
    normalize = normalizer(inputs_of(config, channel_mean=(0.5, 0.5, 0.5), backbone=None))
    if len(shape) == 1:
        normalize = _features
    state = at.state(initial_state(model, optimizer, seed=0, input_shape=(1, *shape), averaged=config.ema > 0))
    lies = jax.tree.map(lambda leaf: leaf.sharding, state)
    step = at.jit_step(train_step(model, optimizer, normalize, config, class_weights=(0.75, 1.5)), state)
    random, losses = np.random.default_rng(0), []
    for _ in range(STEPS):
        labels = random.integers(0, 2, BATCH).astype(np.int32)
        images = random.integers(0, 200, (BATCH, *shape)).astype(np.uint8)
        images[labels == 1] += 20
        state, loss = step(state, at.batch({"image": images, "label": labels, "mask": np.ones(BATCH, bool)}))
        losses.append(float(loss))
    assert all(jax.tree.leaves(jax.tree.map(lambda leaf, lay: leaf.sharding == lay, state, lies)))
    parted = sum(shard.data.nbytes for leaf in jax.tree.leaves(state.params) for shard in leaf.addressable_shards[:1])
    whole = sum(leaf.nbytes for leaf in jax.tree.leaves(state.params))
    variables = {"params": state.params, "batch_stats": state.batch_stats}
    return {"losses": losses, "variables": jax.tree.map(np.asarray, variables), "share": parted / whole}


def _features(features, mask):
    del mask
    return features.astype("float32") / 255


def run(config, mesh, dataset, folder, *, epochs, backbone):
    """A start of a run on a mesh."""
    config = dataclasses.replace(config, mesh=mesh, epochs=epochs)
    trained = train(config, dataset, folder, pretrained=backbone)
    rows = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return {
        "variables": jax.tree.map(np.asarray, trained.variables),
        "logits": {str(split): logits for split, logits in trained.logits.items()},
        "rows": [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows],
        "told": (folder / "train.log").read_text(),
        "trained": trained,
    }


def whole_runs(dataset, work, backbone):
    """Runs in one start and in two, on one mesh and from one to another."""
    found = {}
    for name, config, meshes in (("logistic", LOGISTIC, ("1", "2", "8")), ("head", HEAD, ("1", "8", "4x2"))):
        tiny = backbone if config.model == "transfer" else None
        for mesh in meshes:
            found[name, mesh] = run(config, mesh, dataset, work / f"{name}{mesh}", epochs=2, backbone=tiny)
        last, first = meshes[-1], meshes[0]
        for before, after in ((last, last), (last, first), (first, last), (last, meshes[1])):
            folder = work / f"{name}{before}-{after}"
            run(config, before, dataset, folder, epochs=1, backbone=tiny)
            found[name, before, after] = run(config, after, dataset, folder, epochs=2, backbone=tiny)
    resident = dataclasses.replace(LOGISTIC, data_on_device="on")
    found["resident", "8"] = run(resident, "8", dataset, work / "resident", epochs=2, backbone=None)
    fine = dataclasses.replace(HEAD, head="linear", finetune_epochs=1, unfreeze=0.5, finetune_learning_rate=1e-3)
    for mesh in ("1", "2"):
        found["fine", mesh] = run(fine, mesh, dataset, work / f"fine{mesh}", epochs=1, backbone=backbone)
    built = build_network(HEAD, found["head", "8"]["trained"].inputs, backbone, stage="head")
    score = scorer(built, found["head", "8"]["trained"].variables)
    test = dataset.splits["test"]
    scores = [score(test[i]["image"][None]) for i in range(len(test))]
    found["scores of one device"] = np.concatenate(scores)
    for each in found.values():
        if isinstance(each, dict):
            del each["trained"]
    return found


def main(data_dir, work):
    """All checks."""
    jax.config.update("jax_platforms", "cpu")
    jax.config.update("jax_numpy_dtype_promotion", "strict")
    jax.config.update("jax_numpy_rank_promotion", "raise")
    footprints = {mesh: footprint(mesh)._asdict() for mesh in ("1", "8", "4x2")}
    placement.LARGE, network.BATCH_SIZE = SMALL, 3  # the splits' last batches are uneven on every mesh
    figures = loop.epoch_metrics  # every later epoch counts as better, so that the result is the last state
    loop.epoch_metrics = lambda *a, **k: {**figures(*a, **k), "validation_auroc": float(a[0])}
    dataset = load_dataset(Path(data_dir), "synthetic")
    compiled, make = [], phases.train_step
    phases.train_step = lambda *a, **k: _counting(make(*a, **k), compiled)
    backbone = load_pretrained("random", architecture=TINY)
    found = {
        "steps": {
            name: {mesh: steps(*about, mesh) for mesh in (*MESHES, *(["4x2"] if name in PARTED else []))}
            for name, about in models().items()
        },
        "runs": whole_runs(dataset, Path(work), backbone),
        "stored": {mesh: _stored(dataset, backbone, mesh, Path(work) / f"store{mesh}") for mesh in ("1", "8")},
        "stacked": {mesh: _stacked(dataset, mesh) for mesh in ("1", "8")},
        "steps an epoch": steps_per_epoch(len(dataset.splits["train"]), 8),
        "traces": compiled,
        "footprints": footprints,
    }
    (Path(work) / "found.pickle").write_bytes(pickle.dumps(found))


def _counting(step, traces):
    traces.append(0)
    own = len(traces) - 1

    def counted(*args):
        traces[own] += 1
        return step(*args)

    return counted


def _stored(dataset, backbone, mesh, folder):
    """The features that a mesh computes, of each split."""
    folder.mkdir()
    frozen = Frozen(backbone, Inputs("torchvision"), "maps", "float32")
    sources = FeatureStore(folder, frozen, placement_of(RunConfig(mesh=mesh, batch_size=8))).sources(dataset)
    return {str(split): np.stack([of[i]["image"] for i in range(len(of))]) for split, of in sources.items()}


def _stacked(dataset, mesh):
    configs = [dataclasses.replace(LOGISTIC, mesh=mesh, learning_rate=rate, batch_size=n) for rate, n in RATES]
    return [
        (outcome.epochs, {str(k): v for k, v in outcome.logits.items()}) for outcome in train_stacked(configs, dataset)
    ]


RATES = ((1e-4, 8), (1e-3, 8), (1e-4, 16))

if __name__ == "__main__":
    main(*sys.argv[1:])
