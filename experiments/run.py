"""One experiment: train a model, evaluate it on every split, print the paper's table and write a report.

    python -m experiments.run --model=cnn --dataset=synthetic

A flag that is not given takes the model's recipe (the paper's settings, mole_jax/studies/recipes.py), else its default
below. The same command again goes on where it stopped. Exit status 75: stopped by SIGTERM with everything saved, run
it again.
"""

import dataclasses
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from experiments import cli
from experiments.flagged import define_flags, given_flags
from mole_jax import xla
from mole_jax.config import RunConfig
from mole_jax.studies.recipes import KEEPS_MEMORY, RECIPES

if TYPE_CHECKING:
    from mole_jax.data.dataset import Dataset
    from mole_jax.training.loop import Trained

define_flags(RunConfig)


def config_from_flags() -> RunConfig:
    """The flags that were given, over the model's recipe, over the defaults; with the run directory filled in."""
    given = given_flags(RunConfig)
    model = given.get("model", RunConfig.model)
    config = RunConfig.from_dict({"model": model, **RECIPES[model], **given})
    if not config.run_dir:
        config = dataclasses.replace(config, run_dir=f"runs/{config.name}")
    return config


def command() -> int:
    """Runs the experiment."""
    config = config_from_flags()
    xla.configure(keep_memory=config.model in KEEPS_MEMORY)
    from mole_jax.backbones.load import load_pretrained
    from mole_jax.data.dataset import load_dataset
    from mole_jax.runs.directory import hold
    from mole_jax.runs.identity import claim
    from mole_jax.training.epoch_metrics import NonFinite
    from mole_jax.training.loop import Interrupted, train

    run_dir = Path(config.run_dir)
    dataset = load_dataset(Path(config.data_dir), config.dataset)
    pretrained = load_pretrained(config.weights, seed=config.seed) if config.model == "transfer" else None
    with hold(run_dir):
        weights = pretrained.describe() if pretrained else None
        claim(run_dir, config, fingerprint=dataset.facts.fingerprint, weights=weights)
        # So that metrics.json is there only while the run is finished, for as many epochs as config.json says.
        (run_dir / "metrics.json").unlink(missing_ok=True)
        print(f"{config.model} on {dataset.describe()}\nrun directory {run_dir}", flush=True)
        try:
            trained = train(config, dataset, run_dir, pretrained=pretrained)
        except Interrupted as stop:
            print(stop, file=sys.stderr)
            return 75  # EX_TEMPFAIL: try again
        except NonFinite as stop:
            print(f"error: {stop}", file=sys.stderr)
            return 1
        print(time_line(json.loads((run_dir / "timing.json").read_text())), flush=True)
        finish(run_dir, config, dataset, trained)
    return 0


def time_line(timing: dict[str, float]) -> str:
    """Where the time of this start went, from timing.json."""
    parts = [(name.removeprefix("seconds_"), value) for name, value in timing.items() if name.startswith("seconds_")]
    parts.sort(key=lambda part: -part[1])
    return f"{timing['goodput']:.0%} of the time in steps: " + ", ".join(
        f"{name} {value:.1f} s" for name, value in parts
    )


def finish(run_dir: Path, config: RunConfig, dataset: "Dataset", trained: "Trained") -> None:
    """Writes predictions, figures and the report of a trained run, and prints the table."""
    # Imported here, so that training need not wait for what draws figures.
    from mole_jax.evaluation.predictions import write_predictions
    from mole_jax.evaluation.summary import evaluate_run, write_metrics
    from mole_jax.evaluation.table import format_table
    from mole_jax.explain.weight_picture import save_weight_picture
    from mole_jax.report.page import write_report
    from mole_jax.runs.predictions import to_predictions

    predictions = {str(split): to_predictions(dataset.rows[split], trained.logits[split]) for split in dataset.rows}
    (run_dir / "predictions").mkdir(exist_ok=True)
    for split, of_split in predictions.items():
        write_predictions(run_dir / "predictions" / f"{split}.csv", of_split)
    metrics = evaluate_run(
        predictions,
        leaky=dataset.facts.leaky,
        protocol=dataset.facts.protocol,
        leak=dataset.facts.leak,
        seed=config.seed,
    )
    write_metrics(run_dir / "metrics.json", metrics)
    if config.model == "logistic":
        save_weight_picture(run_dir, trained.variables["params"])
    print(f"\n{format_table(metrics)}\n\nresults in {run_dir}: metrics.json, predictions/, checkpoints/", flush=True)
    print(f"report in {write_report([run_dir], run_dir / 'report.html')}")


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "")
