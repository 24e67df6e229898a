"""How much memory does training the CNN take?

The peak resident memory of `experiments.run` on a prepared dataset of HAM10000's size, as the operating system counts
it (mapped files included), over the first steps and a checkpoint, after which it is stopped: memory does not grow with
the number of steps, and the forward pass of an evaluation takes less than a training step. The paper held its training
images as float64: 13 GB.
"""

from pathlib import Path

from benchmarks.commands import train_until
from benchmarks.harness import Contestant
from benchmarks.images import prepare_dataset, write_folder
from benchmarks.question import OURS, Limit, Measure, Question, Setting
from benchmarks.turn import PEAK_MEMORY, Turn

BATCHES = (100, 64)  # the paper's; the README's
STEPS = 3


def question(setting: Setting) -> Question:
    """The question."""
    images = 1000 if setting.quick else 10_000
    data_dir = prepare_dataset(setting, write_folder(setting, images), f"images_{images}")
    peak = Measure(PEAK_MEMORY, f"peak memory of training the CNN on {images} images", "MB", "lower")
    names = {batch: f"{OURS}, batch {batch}" for batch in BATCHES}
    return Question(
        "How much memory does training the CNN take?",
        [
            Contestant(
                name,
                "benchmarks.memory:ours",
                {"data_dir": str(data_dir), "dataset": f"images_{images}", "batch": batch, "work": str(setting.work)},
                fresh=True,
            )
            for batch, name in names.items()
        ],
        [peak],
        [Limit(peak, 2000, name) for name in names.values()],
        rounds=1,
        warm_up=0,
    )


def ours(*, data_dir: str, dataset: str, batch: int, work: str) -> Turn:
    """A few steps of `experiments.run`."""
    run_dir = Path(work) / f"memory_{batch}"
    flags = ["--model=cnn", f"--data_dir={data_dir}", f"--dataset={dataset}", f"--batch_size={batch}"]

    def turn() -> dict[str, float]:
        return {"seconds": train_until(STEPS, run_dir, flags)}

    return turn
