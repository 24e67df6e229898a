"""This project's side, set up as `experiments.run` does it. Call `mole_jax.xla.configure()` before importing JAX."""

from typing import Any, NamedTuple


class Training(NamedTuple):
    """A model in training; the steps are those of `mole_jax.training.steps`."""

    state: Any  # the first
    step: Any
    evaluate: Any


def training(config: Any, model: Any = None) -> Training:
    """Builds it as `experiments.run` does.

    Args:
        config: a RunConfig.
        model: a Model in place of the config's own.
    """
    import jax

    from mole_jax.classifier.network import inputs_of
    from mole_jax.classifier.scoring import evaluation_step
    from mole_jax.data.image_file import IMAGE_SHAPE
    from mole_jax.inputs.normalize import normalizer
    from mole_jax.models import MODELS
    from mole_jax.training.optimizer import build_optimizer
    from mole_jax.training.state import initial_state
    from mole_jax.training.steps import train_step

    model = model or MODELS[config.model](config)
    shape = (1, *IMAGE_SHAPE)
    params = jax.eval_shape(lambda: model.init(jax.random.key(0), input_shape=shape))["params"]
    optimizer = build_optimizer(config, model.trainable(params))
    normalize = normalizer(inputs_of(config, channel_mean=(0.0, 0.0, 0.0), backbone=None))
    return Training(
        initial_state(model, optimizer, seed=0, input_shape=shape),
        jax.jit(train_step(model, optimizer, normalize, config), donate_argnums=0),
        jax.jit(evaluation_step(model, normalize)),
    )


def plain_cnn() -> Any:
    """The CNN with batch norm, ReLU and max-pool as Flax's three layers, for comparison with the project's one."""
    from mole_jax.models import cnn

    return cnn.model(fused=False)


def random_batch(size: int) -> Any:
    """A batch of noise on the device, half of each class."""
    import jax
    import numpy as np

    from mole_jax.data.image_file import IMAGE_SHAPE

    images = np.random.default_rng(0).integers(0, 256, (size, *IMAGE_SHAPE), dtype=np.uint8)
    return jax.device_put(
        {"image": images, "label": (np.arange(size) % 2).astype(np.int32), "mask": np.ones(size, bool)}
    )
