"""The grid of a sweep, as people write it, and the sweep's name. Imports no JAX."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from mole_jax.config import HINTS, RunConfig
from mole_jax.errors import UserError

Grid = Mapping[str, Sequence[Any]]


def parse_grid(text: str) -> dict[str, list[Any]]:
    """Field -> values, of the field's type, from "learning_rate=0.1,0.01 seed=0,1".

    Raises:
        UserError: a part is not `field=value,...`, or names no field, or a value is not of its type.
    """
    grid: dict[str, list[Any]] = {}
    for part in text.split():
        name, _, values = part.partition("=")
        if not values or name in grid:
            raise UserError(f"{part!r} in --grid: write each field once, as field=value,value")
        if name not in HINTS:
            raise UserError(f"{name!r} in --grid is not an option of a run; they are {', '.join(sorted(HINTS))}")
        convert = HINTS[name] if HINTS[name] in (int, float) else str
        try:
            grid[name] = [convert(value) for value in values.split(",")]
        except ValueError:
            raise UserError(f"{part!r} in --grid: {name} takes values of type {convert.__name__}") from None
    if not grid:
        raise UserError("give --grid, for example --grid='learning_rate=0.1,0.01 batch_size=100,500'")
    return grid


def sweep_name(config: RunConfig, grid: Grid) -> str:
    """What a sweep is called where nobody says otherwise; the grid is a part of it, and so is the number of epochs."""
    varied = {"epochs": config.epochs, "finetune_epochs": config.finetune_epochs, **grid}
    digest = hashlib.sha256(json.dumps(varied, sort_keys=True).encode()).hexdigest()[:8]
    return f"sweep-{config.name}-{digest}"
