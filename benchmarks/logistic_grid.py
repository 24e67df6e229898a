"""What do the paper's 20 logistic regressions cost together?

Five learning rates by four batch sizes, all epochs, with the validation images scored after each of them. This project
trains the grid in one pass over the data (`mole_jax.studies.train_stack`); "one configuration" is the ordinary
training run of the middle one (batch 100), against which the grid should cost little more. scikit-learn's SGDClassifier
takes one configuration after the other through `partial_fit`, with the same batches in the same order.

Fair: imports and compilation are done in the round that does not count. This project reads its shards and normalises
in each epoch; scikit-learn is given normalised float32 images that lie in memory, which is to its favour. It updates
after each image and not after each batch, so that the batches cost it nothing.
"""

import dataclasses
import itertools
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Contestant
from benchmarks.images import prepare_dataset, write_folder
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.turn import Turn

LEARNING_RATES = (1.0, 0.1, 0.01, 0.001, 0.0001)
BATCH_SIZES = (20, 100, 200, 500)
ONE, SKLEARN = f"{OURS}, one configuration", "scikit-learn, one after the other"


def question(setting: Setting) -> Question:
    """The question."""
    images, epochs = (64, 2) if setting.quick else (1000, 5)
    data_dir = prepare_dataset(setting, write_folder(setting, images), f"images_{images}")
    common = {"data_dir": str(data_dir), "dataset": f"images_{images}", "epochs": epochs}
    seconds = Measure("seconds", "logistic grid of 20 configurations", "s", "lower")
    return Question(
        "What do the paper's 20 logistic regressions cost together?",
        [
            Contestant(OURS, "benchmarks.logistic_grid:grid", common | {"work": str(setting.work / "grid")}),
            Contestant(ONE, "benchmarks.logistic_grid:one", common | {"work": str(setting.work / "one")}),
            Contestant(SKLEARN, "benchmarks.logistic_grid:sklearn", common),
        ],
        [seconds],
        [
            Ratio(seconds, (ONE,), "one configuration (0.4x: the grid takes 2.5 times as long)", 0.4),
            Ratio(seconds, (SKLEARN,), SKLEARN, 5.0),
        ],
        rounds=3,
        note=f"{images} images in all, {epochs} epochs; {ONE} trains 1 configuration, the others 20.",
    )


def _config(epochs: int, data_dir: str, dataset: str) -> Any:
    from mole_jax.studies.recipes import resolve

    own = {"epochs": epochs, "batch_size": 100, "learning_rate": 0.01, "balance": "none"}
    return resolve({"model": "logistic", "data_dir": data_dir, "dataset": dataset, **own})


def grid(*, data_dir: str, dataset: str, epochs: int, work: str) -> Turn:
    """The whole grid in one program."""
    from mole_jax import xla

    xla.configure(keep_memory=True)
    from mole_jax.studies.train_stack import train_stack

    config = _config(epochs, data_dir, dataset)
    configs = [
        dataclasses.replace(config, learning_rate=rate, batch_size=size, run_dir=f"{work}/{rate}-{size}")
        for rate, size in itertools.product(LEARNING_RATES, BATCH_SIZES)
    ]

    def turn() -> dict[str, float]:
        shutil.rmtree(work, ignore_errors=True)
        began = time.perf_counter()
        outcomes = train_stack(configs)
        assert len(outcomes) == len(LEARNING_RATES) * len(BATCH_SIZES), "every configuration"
        return {"seconds": time.perf_counter() - began}

    return turn


def one(*, data_dir: str, dataset: str, epochs: int, work: str) -> Turn:
    """One run, as `experiments.run` trains it."""
    from mole_jax import xla

    xla.configure(keep_memory=True)
    from mole_jax.data.dataset import load_dataset
    from mole_jax.training.loop import train

    data, config = load_dataset(Path(data_dir), dataset), _config(epochs, data_dir, dataset)

    def turn() -> dict[str, float]:
        shutil.rmtree(work, ignore_errors=True)
        Path(work).mkdir(parents=True)
        began = time.perf_counter()
        train(config, data, Path(work))
        return {"seconds": time.perf_counter() - began}

    return turn


def sklearn(*, data_dir: str, dataset: str, epochs: int) -> Turn:
    """SGDClassifier with a constant rate and no penalty, the model of the paper."""
    import numpy as np
    from sklearn.linear_model import SGDClassifier

    from mole_jax.data.dataset import load_dataset
    from mole_jax.data.loader import epoch_order

    data = load_dataset(Path(data_dir), dataset)

    def normalised(source: Any) -> Any:
        images = np.stack([source[i]["image"] for i in range(len(source))])
        pixels = images.astype(np.float32) / 255
        return (pixels - pixels.mean(axis=(1, 2), keepdims=True)).reshape(len(images), -1)

    images = {split: normalised(data.splits[split]) for split in ("train", "validation")}
    labels = data.labels["train"]

    def turn() -> dict[str, float]:
        began = time.perf_counter()
        for rate, batch in itertools.product(LEARNING_RATES, BATCH_SIZES):
            model = SGDClassifier(loss="log_loss", penalty=None, learning_rate="constant", eta0=rate)
            for epoch in range(epochs):
                order = epoch_order(labels, seed=0, epoch=epoch, balance=False)
                for start in range(0, len(order), batch):
                    chosen = order[start : start + batch]
                    model.partial_fit(images["train"][chosen], labels[chosen], classes=[0, 1])
                model.decision_function(images["validation"])
        return {"seconds": time.perf_counter() - began}

    return turn
