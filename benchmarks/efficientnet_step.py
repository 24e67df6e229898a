"""How many images a second does EfficientNet-Lite0 turn into features, and fine-tune on?

Fair: the same network for all (the peers build it from plain layers), random weights (they do not change the speed),
the same number of random images, as many threads as there are cores, timed after one round that compiles. A training
step is forwards, backwards and Adam over all layers with a linear head; batch norm normalises by its moving
statistics, as this project fine-tunes. ONNX Runtime, on a CPU, has the forward pass alone, of the graph that PyTorch
exports. This project is given bytes and preprocesses them, the others are given floats that are ready. PyTorch runs
eagerly, in both layouts; Keras goes through `train_on_batch` and `predict_on_batch`. What lax's grouped convolution,
which is what accelerators use, would do on this CPU is `grouped`.
"""

from typing import Any

from benchmarks import keras_networks, torch_networks
from benchmarks.cnn_step import KERAS_JAX, KERAS_TF, TORCH, peers
from benchmarks.harness import Contestant
from benchmarks.networks import IMAGE_SIZE
from benchmarks.question import OURS, Measure, Question, Ratio, Setting
from benchmarks.timing import rate
from benchmarks.turn import Absent, Turn

ONNX = "ONNX Runtime"
GROUPED = f"{OURS}, grouped"


def question(setting: Setting) -> Question:
    """The question, in float32."""
    on_cpu = setting.machine.platform == "cpu"
    batch = (8 if setting.quick else 16) if on_cpu else 256
    common = {"batch": batch, "steps": 1 if on_cpu else 20}
    train = Measure("train", f"EfficientNet-Lite0 training step, float32, batch {batch}", "images/s")
    infer = Measure("infer", f"EfficientNet-Lite0 features, float32, batch {batch}", "images/s")
    build = "benchmarks.efficientnet_step"
    ours = [Contestant(OURS, f"{build}:ours", common)]
    rivals = peers(build, common, setting.machine)
    targets = [Ratio(train, TORCH, "PyTorch's best layout", 1.0), Ratio(train, (KERAS_TF, KERAS_JAX), "Keras", 1.0)]
    if on_cpu:
        ours.append(Contestant(GROUPED, f"{build}:ours", common | {"grouped": True}))
        rivals.append(Contestant(ONNX, f"{build}:onnx", common | {"cores": setting.machine.cores}))
        targets.append(Ratio(infer, (ONNX,), ONNX, 0.6))
    return Question(
        "How many images a second does EfficientNet-Lite0 turn into features, and fine-tune on?",
        [*ours, *rivals],
        [train, infer],
        targets,
        rounds=5,
    )


def ours(*, batch: int, steps: int, grouped: bool = False) -> Turn:
    """This project's steps, as `experiments.run` compiles them for a fine-tuning of all layers."""
    from mole_jax import xla

    xla.configure()
    import jax
    import jax.numpy as jnp

    from benchmarks.ours import random_batch, training
    from mole_jax.backbones import BACKBONES, depthwise
    from mole_jax.backbones.load import load_pretrained
    from mole_jax.config import RunConfig
    from mole_jax.inputs.normalize import Inputs, normalizer
    from mole_jax.models.transfer import extract, on_images

    if grouped:
        vars(depthwise)["on_cpu"] = lambda: False  # as on an accelerator
    config = RunConfig(model="transfer", backbone="efficientnet_lite0", head="linear", unfreeze=1.0)
    pretrained = load_pretrained("random", architecture=BACKBONES[config.backbone])
    made = training(config, on_images(pretrained.config, "linear", unfreeze=1.0, backbone=pretrained.variables))
    images, state, variables = random_batch(batch), made.state, jax.device_put(pretrained.variables)

    @jax.jit
    def features(variables: dict[str, jax.Array], images: jax.Array) -> jax.Array:
        inputs = normalizer(Inputs("efficientnet_lite"))(images, jnp.ones(len(images), bool))
        return extract(pretrained.config, variables, inputs)["pooled"]

    def train(count: int) -> None:
        nonlocal state
        for _ in range(count):
            state, loss = made.step(state, images)
        loss.block_until_ready()

    def infer(count: int) -> None:
        for _ in range(count):
            pooled = features(variables, images["image"])
        pooled.block_until_ready()

    return lambda: {"train": rate(train, batch, steps=steps), "infer": rate(infer, batch, steps=2 * steps)}


def keras(*, batch: int, steps: int, platform: str) -> Turn:
    """Keras 3."""
    library = keras_networks.use(platform, "float32")
    import numpy as np

    features = keras_networks.efficientnet_lite0(library)
    model = library.Sequential([features, library.layers.Dense(1)])
    model.compile(library.optimizers.Adam(1e-5), library.losses.BinaryCrossentropy(from_logits=True))
    features.compile()
    images = np.random.default_rng(0).random((batch, IMAGE_SIZE, IMAGE_SIZE, 3), np.float32)
    labels = (np.arange(batch) % 2).astype(np.float32)[:, None]

    def train(count: int) -> None:
        for _ in range(count):
            model.train_on_batch(images, labels)

    def infer(count: int) -> None:
        for _ in range(count):
            features.predict_on_batch(images)

    return lambda: {"train": rate(train, batch, steps=steps), "infer": rate(infer, batch, steps=2 * steps)}


def torch(*, batch: int, steps: int, platform: str, cores: int, channels_last: bool) -> Turn:
    """PyTorch."""
    device = torch_networks.use(platform, cores)
    import torch

    layout = torch.channels_last if channels_last else torch.contiguous_format
    features = torch_networks.efficientnet_lite0().to(device, memory_format=layout).eval()
    model = torch.nn.Sequential(features, torch.nn.Linear(1280, 1)).to(device)
    images = torch.rand(batch, 3, IMAGE_SIZE, IMAGE_SIZE).to(device, memory_format=layout)
    labels = (torch.arange(batch) % 2).float().to(device)
    step = torch_networks.cnn_train_step(model)

    def train(count: int) -> None:
        for _ in range(count):
            step(images, labels)
        torch_networks.synchronize(device)

    def infer(count: int) -> None:
        with torch.inference_mode():
            for _ in range(count):
                features(images)
        torch_networks.synchronize(device)

    return lambda: {"train": rate(train, batch, steps=steps), "infer": rate(infer, batch, steps=2 * steps)}


def onnx(*, batch: int, steps: int, cores: int) -> Turn:
    """ONNX Runtime on the CPU, as it comes.

    Raises:
        Absent: a package that the export needs is not installed.
    """
    import io

    import numpy as np

    try:
        import onnxruntime
        import torch

        file = io.BytesIO()
        example = torch.rand(batch, 3, IMAGE_SIZE, IMAGE_SIZE)
        torch.onnx.export(torch_networks.efficientnet_lite0().eval(), (example,), file, dynamo=False)
    except ModuleNotFoundError as error:
        raise Absent(f"{error.name} is not installed") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = cores
    session = onnxruntime.InferenceSession(file.getvalue(), options)
    images: dict[str, Any] = {session.get_inputs()[0].name: example.numpy().astype(np.float32)}

    def infer(count: int) -> None:
        for _ in range(count):
            session.run(None, images)

    return lambda: {"infer": rate(infer, batch, steps=2 * steps)}
