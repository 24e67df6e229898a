"""What do the devices of a mesh cost?

Training steps on a CPU that pretends to be 1, 2, 4 and 8 devices. Its cores are the same ones each time: what more
devices take longer is overhead, of dividing, messages and more programs to start, and what they take shorter is only
that several programs keep the cores busier than one. So there is no target.

Strong scaling keeps the batch, weak scaling the images a device; both count images a second of the whole machine.
Logistic regression, whose gradient is a few images in size, and the pooled head of transfer learning, whose work is
hardly anything beside the messages. Convolutions are left out: on one CPU they run in chunks, on a mesh as on an
accelerator, which says nothing of the mesh.
"""

import os

from benchmarks.harness import Contestant
from benchmarks.question import OURS, Measure, Question, Setting
from benchmarks.timing import rate
from benchmarks.turn import Turn

DEVICES = (1, 2, 4, 8)
STRONG = 512  # images a step, on any number of devices
WEAK = 64  # images a step and device
MODELS = {"logistic": "logistic regression", "head": "the pooled head of transfer learning"}


def question(setting: Setting) -> Question:
    """The question."""
    names = {n: OURS if n == 1 else f"{OURS}, {n} devices" for n in DEVICES}
    measures = [
        Measure(f"{model} {kind}", f"{title}, {about}", "images/s")
        for model, title in MODELS.items()
        for kind, about in (("strong", f"{STRONG} images a step"), ("weak", f"{WEAK} images a step and device"))
    ]
    steps = 4 if setting.quick else 20
    return Question(
        "What do the devices of a mesh cost?",
        [Contestant(name, "benchmarks.mesh:ours", {"devices": n, "steps": steps}) for n, name in names.items()],
        measures,
        [],
        note="Devices that a CPU pretends to have, on the same cores: overhead, and no speed-up of a real mesh.",
    )


def ours(*, devices: int, steps: int) -> Turn:
    """Steps on batches that are put on the devices anew each time, as the loader's are."""
    os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={devices}"
    from mole_jax import xla

    xla.configure()
    import jax
    import numpy as np

    from mole_jax.config import RunConfig
    from mole_jax.inputs.normalize import Inputs, normalizer
    from mole_jax.models import logistic
    from mole_jax.models.transfer import on_features
    from mole_jax.placement import placement_of
    from mole_jax.training.optimizer import build_optimizer
    from mole_jax.training.state import initial_state
    from mole_jax.training.steps import train_step

    random = np.random.default_rng(0)

    def images_a_second(name: str, batch: int) -> float:
        config = RunConfig(model="logistic", mesh=str(devices), batch_size=batch)
        model, shape = (logistic.model(), (224, 224, 3)) if name == "logistic" else (on_features("pooled"), (2048,))
        normalize = normalizer(Inputs("image")) if name == "logistic" else lambda x, _: x.astype("float32")
        placement = placement_of(config)
        params = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=(1, *shape)))["params"]
        optimizer = build_optimizer(config, model.trainable(params))
        state = placement.state(initial_state(model, optimizer, seed=0, input_shape=(1, *shape)))
        step = placement.jit_step(train_step(model, optimizer, normalize, config), state)
        images = random.integers(0, 256, (batch, *shape), dtype=np.uint8)
        given = {"image": images, "label": np.arange(batch, dtype=np.int32) % 2, "mask": np.ones(batch, bool)}

        def run(count: int) -> None:
            nonlocal state
            loss = None
            for _ in range(count):
                state, loss = step(state, placement.batch(given))
            jax.block_until_ready(loss)

        run(2)
        return rate(run, batch, steps=steps)

    def turn() -> dict[str, float]:
        sizes = {"strong": STRONG, "weak": WEAK * devices}
        return {f"{model} {kind}": images_a_second(model, batch) for model in MODELS for kind, batch in sizes.items()}

    return turn
