"""Where the wall time of a run goes."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

Part = Literal["step", "data", "evaluation", "checkpoint", "other"]
PARTS: tuple[Part, ...] = get_args(Part)


class Clock:
    """Counts every second towards one part, the innermost being timed. Measures the host's time: no device waits.

    "step" is the time to hand steps to the device and to wait for their losses, compilation included; "data" is the
    time spent waiting for images; "other" is everything that is not timed.
    """

    def __init__(self) -> None:
        """Starts now."""
        self._seconds = dict.fromkeys(PARTS, 0.0)
        self._at_lap = dict(self._seconds)
        self._part: Part = "other"
        self._since = time.perf_counter()

    @contextmanager
    def __call__(self, part: Part) -> Iterator[None]:
        """Times the block as a part and pauses the part around it."""
        outer = self._switch(part)
        try:
            yield
        finally:
            self._switch(outer)

    def lap(self) -> dict[str, float]:
        """The seconds of each part since the last lap, under `seconds_<part>`."""
        self._switch(self._part)
        lap = {f"seconds_{part}": round(self._seconds[part] - self._at_lap[part], 3) for part in PARTS}
        self._at_lap = dict(self._seconds)
        return lap

    def summary(self) -> dict[str, float]:
        """The seconds of each part and in all since the start, and `goodput`, the share of "step" in them, 0..1."""
        self._switch(self._part)
        total = sum(self._seconds.values())
        parts = {f"seconds_{part}": round(seconds, 3) for part, seconds in self._seconds.items()}
        return {"goodput": round(self._seconds["step"] / total, 4), "seconds": round(total, 3), **parts}

    def _switch(self, part: Part) -> Part:
        now = time.perf_counter()
        before, self._part = self._part, part
        self._seconds[before] += now - self._since
        self._since = now
        return before
