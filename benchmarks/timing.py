"""How a turn measures a rate."""

import time
from collections.abc import Callable


def rate(run: Callable[[int], None], items: int, *, steps: int) -> float:
    """Items a second of `run(steps)`, which does so many steps of `items` each and waits for the device once."""
    began = time.perf_counter()
    run(steps)
    return steps * items / (time.perf_counter() - began)
