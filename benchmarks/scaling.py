"""Does the cost grow linearly with the data?

Prepare, an epoch of logistic regression (the cheapest model, so that the loader counts) and the evaluation of
predictions with its bootstrap, on folders of 1,000 to 16,000 JPEGs, which repeat where the source has fewer. Starting
up counts for `prepare` only, which starts processes. The verdict is the largest deviation from the best straight line.
"""

import itertools
import shutil
import time
from pathlib import Path

from benchmarks.harness import Contestant
from benchmarks.images import write_folder
from benchmarks.question import OURS, Linear, Measure, Question, Setting
from benchmarks.turn import Turn

SIZES = (1000, 2000, 4000, 8000, 16000)
QUICK_SIZES = (250, 500, 1000)
COSTS = {
    "prepare": "prepare",
    "epoch": "an epoch of logistic regression on the training split",
    "evaluate": "evaluating so many predictions",
}
BATCH = 100


def question(setting: Setting) -> Question:
    """The question."""
    sizes = QUICK_SIZES if setting.quick else SIZES
    folders = {size: str(write_folder(setting, size)) for size in sizes}
    measures = {
        cost: [Measure(f"{cost} {size}", f"{title}, {size:,} images", "s", "lower") for size in sizes]
        for cost, title in COSTS.items()
    }
    return Question(
        "Does the cost grow linearly with the data?",
        [
            Contestant(
                OURS,
                "benchmarks.scaling:ours",
                {"folders": {str(size): path for size, path in folders.items()}, "work": str(setting.work / "scaling")},
            )
        ],
        list(itertools.chain(*measures.values())),
        [Linear(f"cost of {COSTS[cost]} against its size", sizes, of_cost) for cost, of_cost in measures.items()],
        rounds=2,
        warm_up=0,
    )


def ours(*, folders: dict[str, str], work: str) -> Turn:
    """All sizes, one after the other; the smallest once before, to import and compile."""
    from mole_jax import xla

    xla.configure(keep_memory=True)
    import jax

    from benchmarks.ours import random_batch, training
    from mole_jax.config import RunConfig
    from mole_jax.data.dataset import load_dataset
    from mole_jax.data.loader import steps_per_epoch, train_batches
    from mole_jax.data.prepare.prepare import prepare

    config = RunConfig(model="logistic", optimizer="sgd", learning_rate=1e-3, batch_size=BATCH)
    made = training(config)
    state, _ = made.step(made.state, random_batch(BATCH))

    def costs(size: int, source: str) -> dict[str, float]:
        nonlocal state
        seconds: dict[str, float] = {}
        shutil.rmtree(work, ignore_errors=True)
        began = time.perf_counter()
        prepare("scaling", Path(source), data_dir=Path(work))
        seconds[f"prepare {size}"] = time.perf_counter() - began
        dataset = load_dataset(Path(work), "scaling")
        labels = dataset.labels["train"]
        batches = train_batches(
            dataset.splits["train"],
            labels,
            batch_size=BATCH,
            end=steps_per_epoch(len(labels), BATCH),
            seed=0,
            balance="none",
        )
        began = time.perf_counter()
        for batch in batches:
            state, loss = made.step(state, jax.device_put(batch))
        loss.block_until_ready()
        seconds[f"epoch {size}"] = time.perf_counter() - began
        seconds[f"evaluate {size}"] = evaluation(size, Path(work))
        return seconds

    smallest = min(folders, key=int)
    costs(int(smallest), folders[smallest])

    def turn() -> dict[str, float]:
        figures: dict[str, float] = {}
        for size, source in folders.items():
            figures |= costs(int(size), source)
        shutil.rmtree(work)
        return figures

    return turn


def evaluation(size: int, folder: Path) -> float:
    """Seconds to read and evaluate so many test predictions, and as many of validation, of three images a lesion."""
    import numpy as np

    from mole_jax.evaluation.predictions import Predictions, read_predictions, write_predictions
    from mole_jax.evaluation.summary import evaluate

    random = np.random.default_rng(0)
    paths = [folder / f"{split}.csv" for split in ("validation", "test")]
    for path in paths:
        labels = random.integers(0, 2, size)
        scores = 1 / (1 + np.exp(-random.normal(labels - 0.5)))
        lesions = np.array([f"{path.stem}_{image // 3}" for image in range(size)])
        ids = np.array([f"{path.stem}_{image}" for image in range(size)])
        write_predictions(path, Predictions(ids, labels, scores, lesion_id=lesions))
    began = time.perf_counter()
    validation, test = (read_predictions(path) for path in paths)
    evaluate(test, validation=validation)
    return time.perf_counter() - began
