"""A finished run's logits for the images of any prepared dataset."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float

from mole_jax.backbones.weights import Pretrained
from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset
from mole_jax.data.loader import steps_per_epoch
from mole_jax.data.records import Split
from mole_jax.training.checkpoint import Checkpoints
from mole_jax.training.phases import build_network, first_state
from mole_jax.training.predict import predict
from mole_jax.training.steps import make_evaluation_step


def score(
    run_dir: Path,
    config: RunConfig,
    dataset: Dataset,
    splits: Sequence[Split],
    *,
    train_images: int,
    channel_mean: Sequence[float],
    pretrained: Pretrained | None = None,
) -> dict[Split, Float[np.ndarray, "..."]]:
    """Scores images as the run scored its own: best checkpoint, its normalisation, its model's options.

    Args:
        run_dir: of the finished run.
        config: of the run.
        dataset: any prepared one.
        splits: of it.
        train_images: how many the run was trained on.
        channel_mean: of these, which normalize=dataset subtracts.
        pretrained: the backbone of model=transfer.

    Returns:
        For each split the logits, in the order of its records.

    Raises:
        UserError: the checkpoint does not fit the config.
    """
    dataset = dataclasses.replace(
        dataset,
        facts=dataclasses.replace(dataset.facts, channel_mean=list(channel_mean)),
    )
    with Checkpoints(run_dir.absolute() / "checkpoints") as checkpoints:
        step = checkpoints.best_step
        fine_tuned = step > steps_per_epoch(train_images, config.batch_size) * config.epochs
        network = build_network(config, dataset, pretrained, fine_tuned=fine_tuned)
        variables = checkpoints.restore_variables(step, jax.eval_shape(lambda: first_state(config, network)))
    evaluation_step = make_evaluation_step(network.model, network.normalize)
    return {
        split: predict(
            evaluation_step, variables, network.sources[split], batch_size=config.batch_size, what=f"scoring {split}"
        )
        for split in splits
    }
