"""How many images a second come out of the loader?

Fair: all give shuffled batches of 224x224 images from disk, with nothing computed on them, from files that have just
been written (page cache). This project reads its prepared shards through the loader of training, PyTorch decodes the
JPEGs in a DataLoader with as many workers as there are cores. "One loop over pixels" is how the paper's generator is
described: a Keras Sequence that loads a batch of files and arranges their pixels one by one in a float64 tensor; its
threads share one interpreter, so that more of them add nothing.
"""

import itertools
import time
from pathlib import Path
from typing import Any

from benchmarks.harness import Contestant
from benchmarks.images import prepare_dataset, write_folder
from benchmarks.networks import IMAGE_SIZE
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.torch_data import loader
from benchmarks.turn import Turn

LOOP, TORCH = "one Python loop over pixels", "PyTorch DataLoader"


def question(setting: Setting) -> Question:
    """The question."""
    images = min(setting.images, 128) if setting.quick else setting.images
    folder = write_folder(setting, images, splits=True)
    data_dir = prepare_dataset(setting, folder, "loading")
    measure = Measure("rate", "loader, decoded images from disk", "images/s")
    jpegs = {"folder": f"{folder}/train_sep", "batch": 32}
    return Question(
        "How many images a second come out of the loader?",
        [
            Contestant(OURS, "benchmarks.loading:ours", {"data_dir": str(data_dir), "batch": 32}),
            Contestant(TORCH, "benchmarks.loading:torch", jpegs | {"workers": setting.machine.cores}),
            Contestant(LOOP, "benchmarks.loading:loop", jpegs | {"images": 32 if setting.quick else 64}),
        ],
        [measure],
        [Ratio(measure, (LOOP,), LOOP, 50.0), Ratio(measure, (TORCH,), TORCH, 5.0)],
        note=f"{images} images, batch 32.",
    )


def ours(*, data_dir: str, batch: int) -> Turn:
    """Eight epochs of the loader that training uses."""
    from mole_jax.data.dataset import load_dataset
    from mole_jax.data.loader import steps_per_epoch, train_batches

    dataset = load_dataset(Path(data_dir), "loading")
    labels = dataset.labels["train"]
    steps = 8 * steps_per_epoch(len(labels), batch)
    seeds = itertools.count()

    def turn() -> dict[str, float]:
        batches = train_batches(
            dataset.splits["train"], labels, batch_size=batch, end=steps, seed=next(seeds), balance="none"
        )
        began = time.perf_counter()
        seen = sum(len(drawn["label"]) for drawn in batches)
        assert seen == steps * batch, (seen, steps, batch)
        return {"rate": seen / (time.perf_counter() - began)}

    return turn


def torch(*, folder: str, batch: int, workers: int) -> Turn:
    """One epoch of a DataLoader on the JPEGs; its workers are already there."""
    batches = loader(folder, batch=batch, workers=workers)

    def turn() -> dict[str, float]:
        began = time.perf_counter()
        seen = sum(len(labels) for _, labels in batches)
        return {"rate": seen / (time.perf_counter() - began)}

    turn()  # starts the workers
    return turn


def loop(*, folder: str, batch: int, images: int) -> Turn:
    """The paper's generator as its text describes it, for the first `images` of a shuffled list."""
    import random

    import numpy as np
    from PIL import Image

    files = sorted(Path(folder).rglob("*.jpg"))
    random.Random(0).shuffle(files)

    def load(paths: list[Path]) -> Any:
        inputs = np.empty((len(paths), IMAGE_SIZE, IMAGE_SIZE, 3))
        for i, path in enumerate(paths):
            with Image.open(path) as image:
                pixels: Any = image.convert("RGB").resize((IMAGE_SIZE, IMAGE_SIZE)).load()
            for row in range(IMAGE_SIZE):
                for column in range(IMAGE_SIZE):
                    inputs[i, row, column] = pixels[column, row]
        return inputs

    def turn() -> dict[str, float]:
        began = time.perf_counter()
        for start in range(0, images, batch):
            load(files[start : start + batch])
        return {"rate": images / (time.perf_counter() - began)}

    return turn
