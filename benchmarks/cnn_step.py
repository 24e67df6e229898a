"""How many images a second does one training step of the paper's CNN take, and one inference step?

    python -m benchmarks.cnn_step --batch_size=32 --rounds=7

Contestants take turns within each round, so that a busy machine slows all of them alike; the medians and ranges are
over rounds. All compute the same network on the same random images in float32, with Adam, on as many threads as there
are cores. `plain` is this project's network with batch norm, ReLU and max-pool as three layers. A peer that is not
installed is a missing row.
"""

import os
import statistics
import time
from collections.abc import Callable
from functools import partial

from absl import flags

from experiments import cli
from mole_jax import xla

BATCH_SIZE = flags.DEFINE_integer("batch_size", 32, "images a step", lower_bound=2)
ROUNDS = flags.DEFINE_integer("rounds", 7, "turns of each contestant, after one to warm up", lower_bound=1)

# (a training step, an inference step); both return when the device has finished.
Contestant = tuple[Callable[[], object], Callable[[], object]]


def ours(batch_size: int, *, fused: bool) -> Contestant:
    """This project's step, as `experiments.run` compiles it."""
    import flax.linen as nn
    import jax
    import numpy as np

    from mole_jax.config import RunConfig
    from mole_jax.data.normalize import normalizer
    from mole_jax.models import MODELS, cnn
    from mole_jax.models.base import from_linen
    from mole_jax.models.layers import Conv, Head
    from mole_jax.training.optimizer import build_optimizer
    from mole_jax.training.state import initial_state
    from mole_jax.training.steps import make_evaluation_step, make_train_step

    class Plain(nn.Module):
        @nn.compact
        def __call__(self, x: jax.Array, *, train: bool) -> jax.Array:
            for i, (channels, kernel, stride, padding, pool) in enumerate(cnn.BLOCKS, start=1):
                x = Conv(channels, (kernel, kernel), stride, padding, name=f"conv{i}")(x)
                x = nn.BatchNorm(use_running_average=not train, momentum=0.99, epsilon=1e-3, name=f"bn{i}")(x)
                x = nn.max_pool(nn.relu(x), (pool, pool), (pool, pool))
            return Head((512, 32, 1), name="head")(x.reshape(x.shape[0], -1))

    config = RunConfig(model="cnn")
    model = MODELS["cnn"](config) if fused else from_linen(Plain())
    shape = (1, 224, 224, 3)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=shape))["params"]
    optimizer = build_optimizer(config, model.trainable(params))
    normalize = normalizer("image", channel_mean=(0.0, 0.0, 0.0))
    step, evaluate = make_train_step(model, optimizer, normalize, config), make_evaluation_step(model, normalize)
    state = initial_state(model, optimizer, seed=0, input_shape=shape)
    batch = jax.device_put(
        {
            "image": np.random.default_rng(0).integers(0, 256, (batch_size, 224, 224, 3), dtype=np.uint8),
            "label": (np.arange(batch_size) % 2).astype(np.int32),
            "mask": np.ones(batch_size, bool),
        }
    )
    holder = [state]

    def train() -> None:
        holder[0], loss = step(holder[0], batch)
        loss.block_until_ready()

    def infer() -> None:
        variables = {"params": holder[0].params, "batch_stats": holder[0].batch_stats}
        evaluate(variables, batch).block_until_ready()

    return train, infer


def keras(batch_size: int) -> Contestant:
    """Keras 3 on its JAX backend, through `train_on_batch`."""
    os.environ.setdefault("KERAS_BACKEND", "jax")
    import keras
    import numpy as np
    from keras import layers

    from mole_jax.models import cnn

    inputs = x = layers.Input((224, 224, 3))
    for channels, kernel, stride, padding, pool in cnn.BLOCKS:
        x = layers.ZeroPadding2D(padding)(x) if padding else x
        x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(channels, kernel, stride)(x)))
        x = layers.MaxPooling2D(pool)(x)
    x = layers.Dense(32, activation="relu")(layers.Dense(512, activation="relu")(layers.Flatten()(x)))
    model = keras.Model(inputs, layers.Dense(1)(x))
    model.compile(keras.optimizers.Adam(1e-3), keras.losses.BinaryCrossentropy(from_logits=True))
    images = np.random.default_rng(0).random((batch_size, 224, 224, 3), np.float32)
    labels = (np.arange(batch_size) % 2).astype(np.float32)[:, None]
    return partial(model.train_on_batch, images, labels), partial(model.predict_on_batch, images)


def torch(batch_size: int) -> Contestant:
    """PyTorch in its faster layout on CPU, channels last."""
    import torch
    from torch import nn

    from mole_jax.models import cnn

    stack: list[nn.Module] = []
    before = 3
    for channels, kernel, stride, padding, pool in cnn.BLOCKS:
        stack += [nn.Conv2d(before, channels, kernel, stride, padding), nn.BatchNorm2d(channels, 1e-3)]
        stack += [nn.ReLU(), nn.MaxPool2d(pool)]
        before = channels
    stack += [nn.Flatten(), nn.Linear(1152, 512), nn.ReLU(), nn.Linear(512, 32), nn.ReLU(), nn.Linear(32, 1)]
    torch.set_num_threads(os.cpu_count() or 1)
    model = nn.Sequential(*stack).to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(model.parameters(), 1e-3, eps=1e-7)
    images = torch.rand(batch_size, 3, 224, 224).to(memory_format=torch.channels_last)
    labels = torch.arange(batch_size).remainder(2).float()

    def train() -> None:
        model.train()
        optimizer.zero_grad()
        nn.functional.binary_cross_entropy_with_logits(model(images)[:, 0], labels).backward()
        optimizer.step()

    def infer() -> None:
        model.eval()
        with torch.inference_mode():
            model(images)

    return train, infer


CONTESTANTS: dict[str, Callable[[int], Contestant]] = {
    "mole_jax": partial(ours, fused=True),
    "mole_jax, plain layers": partial(ours, fused=False),
    "Keras on JAX": keras,
    "PyTorch, channels last": torch,
}


def command() -> None:
    """Measures and prints one line a contestant."""
    xla.configure()
    steps: dict[str, Contestant] = {}
    for name, build in CONTESTANTS.items():
        try:
            steps[name] = build(BATCH_SIZE.value)
        except ImportError as missing:
            print(f"{name}: not measured ({missing})")
    rates: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in steps}
    for turn in range(ROUNDS.value + 1):
        for name, pair in steps.items():
            for rate, step in zip(rates[name], pair, strict=True):
                began = time.perf_counter()
                step()
                if turn:
                    rate.append(BATCH_SIZE.value / (time.perf_counter() - began))
    what = f"images/s, batch {BATCH_SIZE.value}, float32, {os.cpu_count()} cores"
    print(f"\n{what}: median (range) of {ROUNDS.value} turns")
    print(f"{'':26}{'training step':>24}{'inference':>24}")
    for name, pair in rates.items():
        cells = [f"{statistics.median(r):.1f} ({min(r):.1f}-{max(r):.1f})" for r in pair]
        print(f"{name:26}" + "".join(f"{cell:>24}" for cell in cells))


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "")
