"""How many images a second does a frozen ResNet50 turn into 7x7x2048 feature maps?

Fair: the same batch of random images for all, floats in and floats out, inference mode, random weights (they do not
change the speed), on as many threads as there are cores, timed after one round that compiles. This project's and
PyTorch's network is v1.5 (stride on the 3x3), Keras' is its own ResNet50 (v1: stride on the first 1x1, some 6 % fewer
multiply-adds, biases before batch norm). PyTorch's is written out in plain layers (benchmarks/torch_networks.py) and
runs eagerly, in both layouts. This project is given bytes and preprocesses them, as in a transfer run.
"""

from benchmarks import keras_networks, torch_networks
from benchmarks.cnn_step import KERAS_JAX, KERAS_TF, TORCH, peers
from benchmarks.harness import Contestant
from benchmarks.networks import IMAGE_SIZE, RESNET50_FLOPS
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.timing import rate
from benchmarks.turn import Turn


def question(setting: Setting, *, dtype: str = "float32") -> Question:
    """The question for one compute type."""
    on_cpu = setting.machine.platform == "cpu"
    batch = (8 if setting.quick else 32) if on_cpu else 256
    common = {"batch": batch, "steps": 1 if on_cpu else 20, "dtype": dtype}
    build = "benchmarks.resnet_features"
    title = f"ResNet50 features, {dtype}, batch {batch}"
    features = Measure("features", title, "images/s", flops=RESNET50_FLOPS, dtype=dtype)
    best = Ratio(features, (*TORCH, KERAS_TF, KERAS_JAX), "the best peer", 1.0, wanted=True)
    return Question(
        "How many images a second does the frozen ResNet50 turn into features?",
        [Contestant(OURS, f"{build}:ours", common), *peers(build, common, setting.machine)],
        [features],
        [Ratio(features, TORCH, "PyTorch's best layout", 1.5), best] if on_cpu else [best],
        rounds=5,
    )


def ours(*, batch: int, steps: int, dtype: str) -> Turn:
    """This project's `extract`, with torchvision's preprocessing, jitted as the feature cache does it."""
    from mole_jax import xla

    xla.configure()
    import jax
    import jax.numpy as jnp

    from benchmarks.ours import random_batch
    from mole_jax.backbones.load import load_pretrained
    from mole_jax.inputs.normalize import Inputs, normalizer
    from mole_jax.models.transfer import extract

    pretrained = load_pretrained("random")
    variables, images = jax.device_put(pretrained.variables), random_batch(batch)["image"]

    @jax.jit
    def features(variables: dict[str, jax.Array], images: jax.Array) -> jax.Array:
        inputs = normalizer(Inputs("torchvision"))(images, jnp.ones(len(images), bool))
        maps = extract(pretrained.config, variables, inputs, dtype=jnp.dtype(dtype))["maps"]
        return maps.astype(jnp.float32)

    def run(count: int) -> None:
        for _ in range(count):
            maps = features(variables, images)
        maps.block_until_ready()

    return lambda: {"features": rate(run, batch, steps=steps)}


def keras(*, batch: int, steps: int, dtype: str, platform: str) -> Turn:
    """Keras Applications' ResNet50 through `predict_on_batch`."""
    library = keras_networks.use(platform, dtype)
    import numpy as np

    model = library.applications.ResNet50(weights=None, include_top=False, input_shape=(IMAGE_SIZE, IMAGE_SIZE, 3))
    images = np.random.default_rng(0).random((batch, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)

    def run(count: int) -> None:
        for _ in range(count):
            model.predict_on_batch(images)

    return lambda: {"features": rate(run, batch, steps=steps)}


def torch(*, batch: int, steps: int, dtype: str, platform: str, cores: int, channels_last: bool) -> Turn:
    """PyTorch; bfloat16 by autocast."""
    device = torch_networks.use(platform, cores)
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = torch_networks.resnet50().to(device, memory_format=layout).eval()
    images = torch.rand(batch, 3, IMAGE_SIZE, IMAGE_SIZE).to(device, memory_format=layout)
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=dtype == "bfloat16")

    def run(count: int) -> None:
        with autocast, torch.inference_mode():
            for _ in range(count):
                model(images)
        torch_networks.synchronize(device)

    return lambda: {"features": rate(run, batch, steps=steps)}
