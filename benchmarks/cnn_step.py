"""How many images a second does one training step of the paper's CNN take, and one inference step?

Fair: all compute the same network on the same number of random images with Adam, on as many threads as there are
cores, and are timed after one round that compiles; images lie in memory. This project is given bytes and normalises
them in the step, the others are given floats that are ready. Keras goes through `train_on_batch` and
`predict_on_batch`; PyTorch runs eagerly, in both layouts. `plain layers` is this project's network with batch norm,
ReLU and max-pool as three layers of Flax.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import keras_networks, torch_networks
from benchmarks.harness import Contestant
from benchmarks.machine import Machine
from benchmarks.networks import IMAGE_SIZE, cnn_flops
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.timing import rate
from benchmarks.turn import Turn

NCHW, CHANNELS_LAST = "PyTorch, NCHW", "PyTorch, channels last"
KERAS_TF, KERAS_JAX = "Keras on TensorFlow", "Keras on JAX"
TORCH = (NCHW, CHANNELS_LAST)


def peers(module: str, common: Mapping[str, Any], machine: Machine) -> list[Contestant]:
    """PyTorch in both layouts and Keras on both backends, as `module` sets them up in `torch` and `keras`.

    Args:
        module: of a question.
        common: what every contestant of it is given.
        machine: on which it is asked.
    """
    peer = {**common, "platform": machine.platform}
    in_torch = peer | {"cores": machine.cores}
    return [
        Contestant(NCHW, f"{module}:torch", in_torch | {"channels_last": False}),
        Contestant(CHANNELS_LAST, f"{module}:torch", in_torch | {"channels_last": True}),
        Contestant(KERAS_TF, f"{module}:keras", peer, keras_networks.ON_TENSORFLOW),
        Contestant(KERAS_JAX, f"{module}:keras", peer, keras_networks.ON_JAX),
    ]


def question(setting: Setting, *, dtype: str = "float32") -> Question:
    """The question for one compute type."""
    on_cpu = setting.machine.platform == "cpu"
    batch = (8 if setting.quick else 32) if on_cpu else 256
    common = {"batch": batch, "steps": 1 if on_cpu else 50, "dtype": dtype}
    ours = [Contestant(OURS, "benchmarks.cnn_step:ours", common)]
    if dtype == "float32":
        ours.append(Contestant(f"{OURS}, plain layers", "benchmarks.cnn_step:ours", common | {"plain": True}))
    what = f"{dtype}, batch {batch}"
    train = Measure("train", f"CNN training step, {what}", "images/s", flops=cnn_flops(train=True), dtype=dtype)
    infer = Measure("infer", f"CNN inference, {what}", "images/s", flops=cnn_flops(train=False), dtype=dtype)
    return Question(
        "How many images a second does a training step of the CNN take, and an inference step?",
        [*ours, *peers("benchmarks.cnn_step", common, setting.machine)],
        [train, infer],
        _targets(train, infer, on_cpu=on_cpu),
        rounds=5,
    )


def _targets(train: Measure, infer: Measure, *, on_cpu: bool) -> Sequence[Ratio]:
    everyone = (*TORCH, KERAS_TF, KERAS_JAX)
    wanted = [Ratio(measure, everyone, "the best peer", 1.0, wanted=True) for measure in (train, infer)]
    if not on_cpu:
        return wanted
    return [
        Ratio(train, TORCH, "PyTorch's best layout", 1.2),
        Ratio(train, (KERAS_JAX,), KERAS_JAX, 5.0),
        Ratio(infer, TORCH, "PyTorch's best layout", 1.8),
        *wanted,
    ]


def ours(*, batch: int, steps: int, dtype: str, plain: bool = False) -> Turn:
    """This project's steps, as `experiments.run` compiles them."""
    from mole_jax import xla

    xla.configure()
    from benchmarks.ours import plain_cnn, random_batch, training
    from mole_jax.config import RunConfig

    config = RunConfig.from_dict({"model": "cnn", "compute_dtype": dtype})
    made = training(config, plain_cnn() if plain else None)
    images, state = random_batch(batch), made.state

    def train(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state, loss = made.step(state, images)
        loss.block_until_ready()

    def infer(count: int) -> None:
        variables = {"params": state.params, "batch_stats": state.batch_stats}
        for _ in range(count):
            logits = made.evaluate(variables, images)
        logits.block_until_ready()

    return lambda: {"train": rate(train, batch, steps=steps), "infer": rate(infer, batch, steps=2 * steps)}


def keras(*, batch: int, steps: int, dtype: str, platform: str) -> Turn:
    """Keras 3."""
    library = keras_networks.use(platform, dtype)
    import numpy as np

    model = keras_networks.compiled_cnn(library)
    images = np.random.default_rng(0).random((batch, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    labels = (np.arange(batch) % 2).astype(np.float32)[:, None]

    def train(count: int) -> None:
        for _ in range(count):
            model.train_on_batch(images, labels)

    def infer(count: int) -> None:
        for _ in range(count):
            model.predict_on_batch(images)

    return lambda: {"train": rate(train, batch, steps=steps), "infer": rate(infer, batch, steps=2 * steps)}


def torch(*, batch: int, steps: int, dtype: str, platform: str, cores: int, channels_last: bool) -> Turn:
    """PyTorch; bfloat16 by autocast."""
    device = torch_networks.use(platform, cores)
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = torch_networks.cnn().to(device, memory_format=layout)
    step = torch_networks.cnn_train_step(model)
    images = torch.rand(batch, 3, IMAGE_SIZE, IMAGE_SIZE).to(device, memory_format=layout)
    labels = torch.arange(batch, device=device).remainder(2).float()
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16")

    def train(count: int) -> None:
        model.train()
        with autocast:
            for _ in range(count):
                step(images, labels)
        torch_networks.synchronize(device)

    def infer(count: int) -> None:
        model.eval()
        with autocast, torch.inference_mode():
            for _ in range(count):
                model(images)
        torch_networks.synchronize(device)

    return lambda: {"train": rate(train, batch, steps=steps), "infer": rate(infer, batch, steps=2 * steps)}
