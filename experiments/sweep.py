"""Many configurations of one model, side by side; all logistic regressions in one pass over the images.

    python -m experiments.sweep --model=logistic --dataset=ham10000 \\
        --grid="learning_rate=1,0.1,0.01,0.001,0.0001 batch_size=20,100,200,500"

The other flags are those of experiments.run and hold for every configuration. Writes sweep.json and sweep.csv. A
configuration whose loss is not finite is reported and does not stop the others. Exit status 75: stopped by SIGTERM or
Ctrl-C during a run, with everything saved.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any

from absl import flags

from experiments import cli
from experiments.flagged import defaults_for, define_run_flags, given_flags
from mole_jax import xla
from mole_jax.config import RunConfig
from mole_jax.studies.recipes import KEEPS_MEMORY, resolve
from mole_jax.studies.sweep_grid import parse_grid, sweep_name

define_run_flags()
GRID = flags.DEFINE_string("grid", None, "fields and their values: 'learning_rate=0.1,0.01 seed=0,1'")


def command() -> int:
    """Trains the grid, prints the table."""
    grid = parse_grid(GRID.value or "")
    config = resolve(given_flags(), flags.FLAGS.recipe)
    directory = Path(config.run_dir or f"runs/{sweep_name(config, grid)}")
    config = dataclasses.replace(config, run_dir="")
    xla.configure(keep_memory=config.model in KEEPS_MEMORY)
    from mole_jax.studies.sweep import SWEEP, TABLE, choose, metrics_of, sweep
    from mole_jax.training.loop import Interrupted

    print(f"{config.model} on {config.dataset}, {len(grid)} options varied; sweep directory {directory}", flush=True)
    try:
        dataset, outcomes = sweep(config, grid, directory)
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return 75  # EX_TEMPFAIL: try again

    def name(of: RunConfig) -> str:
        return " ".join(f"{field}={getattr(of, field)}" for field in grid)

    width = max(len(name(outcome.config)) for outcome in outcomes)
    print(
        f"\n{'accuracy and AUROC at the best epoch':{width}}" + "".join(f"{s:>15}" for s in dataset.splits) + "  epoch"
    )
    for outcome in outcomes:
        of_splits = metrics_of(outcome, dataset).values()
        cells = "".join(f"{of['accuracy']:9.3f} {of['auroc']:5.3f}" for of in of_splits)
        print(
            f"{name(outcome.config):{width}}{cells}{outcome.best_epoch:7}" if cells else _diverged(name, outcome, width)
        )
    for by in ("accuracy", "auroc"):
        chosen = choose(outcomes, dataset, by)
        print(f"best validation {by:8}  {'none: all diverged' if chosen is None else name(chosen.config)}")
    print(f"written: {directory / SWEEP}, {directory / TABLE}")
    if (chosen := choose(outcomes, dataset, "auroc")) is not None:
        print(f"train the winner as a run of its own: {_command(chosen.config, grid)}")
    return 0


def _command(config: RunConfig, grid: dict[str, list[Any]]) -> str:
    given = {"model": config.model, "dataset": config.dataset, "epochs": config.epochs, **given_flags()}
    given |= {field: getattr(config, field) for field in grid}
    recipe = [] if flags.FLAGS.recipe == "paper" else [f"--recipe={flags.FLAGS.recipe}"]
    options = [f"--{field}={value}" for field, value in given.items() if field != "run_dir"]
    return " ".join(["python -m experiments.run", *recipe, *options])


def _diverged(name: Any, outcome: Any, width: int) -> str:
    return f"{name(outcome.config):{width}}  diverged: {outcome.diverged}"


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "", defaults=defaults_for, goes_on=True)
