"""The trials of a sweep: one config each, named by what is in it."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mole_jax.config import IDENTITY, RunConfig
from mole_jax.errors import UserError
from mole_jax.sweeps.space import Space, corners

Resolve = Callable[[Mapping[str, Any]], RunConfig]  # what a trial changes -> its whole config


@dataclass(frozen=True)
class Trial:
    """One training.

    Attributes:
        name: of its directory; the same settings have the same name.
        config: all of its settings, without a `run_dir`.
        changes: field -> value, what sets its configuration apart from the sweep's others.
    """

    name: str
    config: RunConfig
    changes: Mapping[str, Any]

    @property
    def words(self) -> str:
        """The configuration for people."""
        return words_of(self.changes)


def words_of(changes: Mapping[str, Any]) -> str:
    """A configuration for people, as --grid has it."""
    return " ".join(
        f"{name}={value:g}" if type(value) is float else f"{name}={value}" for name, value in changes.items()
    )


def trials_of(changes: Mapping[str, Any], resolve: Resolve, seeds: int) -> list[Trial]:
    """The trials of one configuration: one a seed, from its own seed on.

    Raises:
        UserError: a value is not one of its field's, or does not go with another.
    """
    config = resolve(changes)
    configs = [resolve({**changes, "seed": config.seed + i}) for i in range(seeds)] if seeds > 1 else [config]
    return [Trial(_name(each, changes), each, changes) for each in configs]


def refuse_unsound(space: Space, resolve: Resolve, seeds: int) -> None:
    """Checks every value that may come, before anything starts.

    Raises:
        UserError: a value is not one of its field's, or does not go with another; or the seed is varied twice.
    """
    if seeds > 1 and "seed" in space:
        raise UserError(f"--seeds={seeds} and seed in --grid both say which seeds: give one of them")
    for changes in corners(space):
        resolve(changes)


def refuse_twins(trials: Sequence[Trial]) -> None:
    """Raises UserError where two trials are the same, as where a field of transfer alone is varied for others."""
    names: dict[str, Trial] = {}
    for trial in trials:
        if (twin := names.setdefault(trial.name, trial)) is not trial:
            raise UserError(f"{twin.words!r} and {trial.words!r} are the same configuration: take one out of --grid")


def _name(config: RunConfig, changes: Mapping[str, Any]) -> str:
    kept = {**config.chosen, "epochs": config.epochs, "finetune_epochs": config.finetune_epochs}
    # What changes no result counts where it is what the sweep varies.
    kept |= {name: value for name, value in config.to_dict().items() if name in changes and name not in IDENTITY}
    return f"{config.model}-{hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()[:10]}"
