"""What a contestant gives to the harness: turns, or the reason why there are none."""

from collections.abc import Callable

# Measures once: {measure: value}.
Turn = Callable[[], dict[str, float]]


# What every turn is given besides: the process's peak resident memory so far, in MB.
PEAK_MEMORY = "peak memory"


class Absent(Exception):
    """This contestant cannot take part here; the message says why."""
