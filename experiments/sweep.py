"""Many configurations of one model, side by side; all logistic regressions in one pass over the images.

    python -m experiments.sweep --model=logistic --dataset=ham10000 \\
        --grid="learning_rate=1,0.1,0.01,0.001,0.0001 batch_size=20,100,200,500"

The other flags are those of experiments.run and hold for every configuration. Writes sweep.json and sweep.csv. A
configuration whose loss is not finite is reported and does not stop the others. Exit status 75: stopped by SIGTERM in
the midst of a run, with everything saved.
"""

import dataclasses
import sys
from pathlib import Path
from typing import Any, get_type_hints

from absl import flags

from experiments import cli
from experiments.flagged import define_flags, given_flags
from mole_jax import xla
from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.studies.recipes import KEEPS_MEMORY, RECIPES

define_flags(RunConfig)
GRID = flags.DEFINE_string("grid", None, "fields and their values: 'learning_rate=0.1,0.01 seed=0,1'")


def parse_grid(text: str) -> dict[str, list[Any]]:
    """Field -> values, of the field's type.

    Raises:
        UserError: a part is not `field=value,...`, or names no field, or a value is not of its type.
    """
    grid: dict[str, list[Any]] = {}
    hints = get_type_hints(RunConfig)
    for part in text.split():
        name, _, values = part.partition("=")
        if not values or name in grid:
            raise UserError(f"{part!r} in --grid: write each field once, as field=value,value")
        if name not in hints:
            raise UserError(f"{name!r} in --grid is no option of a run; they are {', '.join(sorted(hints))}")
        convert = hints[name] if hints[name] in (int, float) else str
        try:
            grid[name] = [convert(value) for value in values.split(",")]
        except ValueError:
            raise UserError(f"{part!r} in --grid: {name} takes values of type {convert.__name__}") from None
    if not grid:
        raise UserError("give --grid, for example --grid='learning_rate=0.1,0.01 batch_size=100,500'")
    return grid


def command() -> int:
    """Trains the grid, prints the table."""
    grid = parse_grid(GRID.value or "")
    given = given_flags(RunConfig)
    model = given.get("model", RunConfig.model)
    config = RunConfig.from_dict({"model": model, **RECIPES[model], **given})
    directory = Path(config.run_dir or f"runs/sweep-{config.name}")
    xla.configure(keep_memory=model in KEEPS_MEMORY)
    from mole_jax.backbones.load import load_pretrained
    from mole_jax.data.dataset import load_dataset
    from mole_jax.studies.sweep import choose, figures, sweep
    from mole_jax.training.loop import Interrupted

    dataset = load_dataset(Path(config.data_dir), config.dataset)
    pretrained = load_pretrained(config.weights, seed=config.seed) if model == "transfer" else None
    config = dataclasses.replace(config, run_dir="")
    print(f"{model} on {dataset.describe()}", flush=True)
    try:
        outcomes = sweep(config, grid, dataset, directory, pretrained=pretrained)
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
        of_splits = figures(outcome, dataset).values()
        cells = "".join(f"{of['accuracy']:9.3f} {of['auroc']:5.3f}" for of in of_splits)
        print(
            f"{name(outcome.config):{width}}{cells}{outcome.best_epoch:7}" if cells else _diverged(name, outcome, width)
        )
    for by in ("accuracy", "auroc"):
        chosen = choose(outcomes, dataset, by)
        print(f"best validation {by:8}  {'none: all diverged' if chosen is None else name(chosen.config)}")
    print(f"written: {directory / 'sweep.json'}, {directory / 'sweep.csv'}")
    return 0


def _diverged(name: Any, outcome: Any, width: int) -> str:
    return f"{name(outcome.config):{width}}  diverged: {outcome.diverged}"


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "")
