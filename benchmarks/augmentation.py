"""What do random changes to the images cost beside a training step?

The CNN's whole step, as `experiments.run` compiles it, on the same random images: as they are, and with each preset of
`--augment`. The network is the lightest that takes images for long; beside a fine-tuned backbone the share is smaller.
"""

from benchmarks.harness import Contestant
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.timing import rate
from benchmarks.turn import Turn

PRESETS = ("dihedral", "pham", "strong")


def question(setting: Setting) -> Question:
    """The question."""
    on_cpu = setting.machine.platform == "cpu"
    batch, steps = ((8 if setting.quick else 32) if on_cpu else 256), (2 if on_cpu else 50)
    names = {OURS: "none", **{f"{OURS}, {preset}": preset for preset in PRESETS}}
    train = Measure("train", f"CNN training step, batch {batch}", "images/s")
    return Question(
        "What do random changes to the images cost beside a training step of the CNN?",
        [
            Contestant(name, "benchmarks.augmentation:ours", {"batch": batch, "steps": steps, "augment": augment})
            for name, augment in names.items()
        ],
        [train],
        [Ratio(train, (OURS,), "images as they are", 0.9, ours=name) for name in names if name != OURS],
    )


def ours(*, batch: int, steps: int, augment: str) -> Turn:
    """Steps on a batch that stays in memory."""
    from mole_jax import xla

    xla.configure()
    from benchmarks.ours import random_batch, training
    from mole_jax.config import RunConfig

    made = training(RunConfig(model="cnn", augment=augment))
    images, state = random_batch(batch), made.state

    def train(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state, loss = made.step(state, images)
        loss.block_until_ready()

    return lambda: {"train": rate(train, batch, steps=steps)}
