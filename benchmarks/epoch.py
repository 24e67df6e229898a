"""How long does a whole epoch of the CNN take that begins with JPEGs on disk?

Fair: the same files, batch and network for all; imports and compilation are done before (`startup` measures them), as
they do not grow with the data. This project's first epoch includes `prepare` of the folder, its later epochs read the
shards; the others decode the JPEGs in every epoch, Keras through `image_dataset_from_directory` with prefetching,
PyTorch with a dataset of its own (Pillow, resized to 224x224) in a DataLoader with 2 workers. Nobody validates. Files
have just been written and lie in the page cache. The wait for data is the time that `next(batches)` takes, with the
step before it finished.
"""

import itertools
import shutil
import time
from pathlib import Path
from typing import Any

from benchmarks import keras_networks, torch_networks
from benchmarks.cnn_step import CHANNELS_LAST, KERAS_TF
from benchmarks.harness import Contestant
from benchmarks.images import write_folder
from benchmarks.networks import IMAGE_SIZE
from benchmarks.question import OURS, Limit, Measure, Question, Ratio, Setting
from benchmarks.torch_data import loader
from benchmarks.turn import Turn

LOADER_WORKERS = 2


def question(setting: Setting) -> Question:
    """The question."""
    images = min(setting.images, 64) if setting.quick else setting.images
    folder = write_folder(setting, images, splits=True)
    batch = 32
    common = {"folder": str(folder), "images": images, "batch": batch}
    peer = common | {"platform": setting.machine.platform}
    first = Measure("first", "first epoch from JPEGs on disk, CNN", "images/s")
    later = Measure("later", "later epochs, CNN", "images/s")
    wait = Measure("wait", "later epochs: share of the time spent waiting for data", "%", "lower")
    everyone = (CHANNELS_LAST, KERAS_TF)
    return Question(
        "How long does a whole epoch of the CNN take that begins with JPEGs on disk?",
        [
            Contestant(OURS, "benchmarks.epoch:ours", common | {"work": str(setting.work / "epoch")}),
            Contestant(CHANNELS_LAST, "benchmarks.epoch:torch", peer | {"cores": setting.machine.cores}),
            Contestant(KERAS_TF, "benchmarks.epoch:keras", peer, keras_networks.ON_TENSORFLOW),
        ],
        [first, later, wait],
        [
            Ratio(first, everyone, "the best peer", 1.0),
            Ratio(later, everyone, "the best peer", 1.0, wanted=True),
            Limit(wait, 2.0),
        ],
        rounds=2,
        warm_up=0,
        note=f"{images} JPEGs, batch {batch}; the first epoch is this project's `prepare` and its epoch.",
    )


def ours(*, folder: str, images: int, batch: int, work: str) -> Turn:
    """`prepare`, then the project's loader and step."""
    from mole_jax import xla

    xla.configure()
    import jax

    from benchmarks.ours import random_batch, training
    from mole_jax.config import RunConfig
    from mole_jax.data.dataset import load_dataset
    from mole_jax.data.loader import steps_per_epoch, train_batches
    from mole_jax.data.prepare.prepare import prepare

    made = training(RunConfig(model="cnn", batch_size=batch))
    state, _ = made.step(made.state, random_batch(batch))
    data_dir = Path(work)

    def epoch(source: Any, labels: Any, number: int) -> tuple[float, float]:
        """Seconds of an epoch, and of these the wait for data."""
        nonlocal state
        began, waited = time.perf_counter(), 0.0
        steps = steps_per_epoch(len(labels), batch)
        for_epoch = train_batches(source, labels, batch_size=batch, end=steps, seed=number, balance="none")
        for _ in range(steps):
            asked = time.perf_counter()
            drawn = next(for_epoch)
            waited += time.perf_counter() - asked
            state, loss = made.step(state, jax.device_put(drawn))
            loss.block_until_ready()
        return time.perf_counter() - began, waited

    numbers = itertools.count()

    def turn() -> dict[str, float]:
        shutil.rmtree(data_dir, ignore_errors=True)
        began = time.perf_counter()
        prepare("epoch", Path(folder), data_dir=data_dir)
        dataset = load_dataset(data_dir, "epoch")
        source, labels = dataset.splits["train"], dataset.labels["train"]
        assert len(labels) == images, "every JPEG of the training folder is drawn once"
        epoch(source, labels, next(numbers))
        first = time.perf_counter() - began
        later, waited = epoch(source, labels, next(numbers))
        return {"first": images / first, "later": images / later, "wait": 100 * waited / later}

    return turn


def keras(*, folder: str, images: int, batch: int, platform: str) -> Turn:
    """`image_dataset_from_directory` and `fit`."""
    library = keras_networks.use(platform, "float32")
    model = keras_networks.compiled_cnn(library)
    files = library.utils.image_dataset_from_directory(
        f"{folder}/train_sep", label_mode="binary", batch_size=batch, image_size=(IMAGE_SIZE, IMAGE_SIZE)
    )
    scaled = files.map(lambda x, y: (x / 255.0, y)).prefetch(2)
    model.fit(scaled.take(1), verbose=0)

    def turn() -> dict[str, float]:
        began = time.perf_counter()
        model.fit(scaled, verbose=0)
        figure = images / (time.perf_counter() - began)
        return {"first": figure, "later": figure}

    return turn


def torch(*, folder: str, images: int, batch: int, platform: str, cores: int) -> Turn:
    """A DataLoader that decodes with Pillow, and the eager step in channels last."""
    device = torch_networks.use(platform, cores)
    import torch

    batches = loader(f"{folder}/train_sep", batch=batch, workers=LOADER_WORKERS)
    model = torch_networks.cnn().to(device, memory_format=torch.channels_last).train()
    step = torch_networks.cnn_train_step(model)

    def turn() -> dict[str, float]:
        began = time.perf_counter()
        seen = 0
        for pixels, labels in batches:
            inputs = pixels.to(device).permute(0, 3, 1, 2).float() / 255
            step(inputs.contiguous(memory_format=torch.channels_last), labels.to(device))
            seen += len(labels)
        torch_networks.synchronize(device)
        assert seen == images, "every JPEG once"
        figure = images / (time.perf_counter() - began)
        return {"first": figure, "later": figure}

    return turn
