"""How a command that trains ends: with what it has trained, or with the exit status of why not."""

import sys
from collections.abc import Callable
from typing import TypeVar

from mole_jax.errors import TRY_AGAIN

Trained = TypeVar("Trained")


def trained_or_status(train: Callable[[], Trained]) -> Trained | int:
    """Trains, and says on the screen why that stopped: 75 where all is saved, 1 where the loss is not finite."""
    from mole_jax.training.epoch_metrics import NonFinite
    from mole_jax.training.loop import Interrupted

    try:
        return train()
    except Interrupted as stop:
        print(stop, file=sys.stderr)
        return TRY_AGAIN
    except NonFinite as stop:
        print(f"error: {stop}", file=sys.stderr)
        return 1
