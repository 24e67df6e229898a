"""A trace of a few steps, for TensorBoard (with its profile plugin) and Perfetto."""

import logging
from pathlib import Path
from typing import Any

import jax

# The first step compiles, the second may still allocate.
WARM_UP = 2


class Profile:
    """Traces some steps of a run into its `profile/` folder; a context manager."""

    def __init__(self, run_dir: Path, *, start: int, steps: int) -> None:
        """Plans the trace.

        Args:
            run_dir: the run's directory.
            start: the number of steps done when the loop begins.
            steps: number of steps to trace; 0: none.
        """
        self._folder, self._first, self._end = run_dir.absolute() / "profile", start + WARM_UP, start + WARM_UP + steps
        self._tracing = False

    def __enter__(self) -> "Profile":
        """Nothing to do yet."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends the trace if the run ended before the trace did."""
        if self._tracing:
            self._stop()

    def at(self, step: int, state: Any) -> None:
        """Begins or ends the trace when it is due; to be called before each step.

        Args:
            step: the number of steps done.
            state: the train state; waited for at both ends, so that the trace holds whole steps.
        """
        if self._first <= step < self._end and not self._tracing:
            jax.block_until_ready(state)
            jax.profiler.start_trace(self._folder)
            self._tracing = True
        elif step >= self._end and self._tracing:
            jax.block_until_ready(state)
            self._stop()

    def _stop(self) -> None:
        jax.profiler.stop_trace()
        self._tracing = False
        logging.getLogger(__name__).info("profile in %s", self._folder)
