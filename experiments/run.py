"""One experiment: train a model on a prepared dataset, evaluate it on every split, and print the paper's table.

    python -m experiments.run --model=cnn --dataset=synthetic

The same command again goes on where it stopped. Exit status 75: stopped by SIGTERM with everything saved, run it again.
"""

import dataclasses
import logging
import sys
from pathlib import Path

from experiments import cli
from experiments.flagged import define_flags, given_flags
from experiments.recipes import RECIPES
from mole_jax import xla
from mole_jax.config import RunConfig

define_flags(RunConfig)


def config_from_flags() -> RunConfig:
    """The flags that were given, over the model's recipe, over the defaults; with the run directory filled in."""
    given = given_flags(RunConfig)
    model = given.get("model", RunConfig.model)
    config = RunConfig.from_dict({"model": model, **RECIPES[model], **given})
    if not config.run_dir:
        config = dataclasses.replace(config, run_dir=f"runs/{config.model}-{config.dataset}-{config.hash}")
    return config


def command() -> int:
    """Runs the experiment."""
    config = config_from_flags()
    xla.configure()
    from mole_jax.data.dataset import load_dataset
    from mole_jax.training.experiment import run
    from mole_jax.training.loop import Interrupted, NonFinite

    dataset = load_dataset(Path(config.data_dir), config.dataset)
    print(f"{config.model} on {dataset.describe()}; run directory {config.run_dir}")
    try:
        run(config, dataset)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return 75  # EX_TEMPFAIL: try again
    except NonFinite as stop:
        print(f"error: {stop}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    logging.basicConfig(level=logging.WARNING, format="%(message)s")
    cli.main(command, description=__doc__ or "")
