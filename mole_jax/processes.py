"""Several processes that train one run together, each with its own devices: on machines with several hosts.

All of them run the same program on the same numbers; the first alone writes what people read. `jax.distributed` lets
them find each other and tells them of a pre-emption, so that all save at the same step.
"""

import os
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final, NoReturn

import jax
from jax.experimental import multihost_utils

from mole_jax.errors import TRY_AGAIN, UserError

AUTO: Final = "auto"  # let JAX ask Slurm, Kubernetes, Open MPI or the TPU's environment
# Seconds. A killed peer is noticed at the next message, in a fraction of a second; one that has gone silent, or whose
# machine is cut off, after this time, when JAX's runtime aborts the process.
HEARTBEAT: Final = 60
INITIALISE: Final = 300
SHUTDOWN: Final = 3600  # while the first evaluates and writes, the others wait for it to end
# Seconds that a process which refuses its task waits for the others to refuse it too: the first holds what the runtime
# of all needs, and where it left earlier they would be aborted before they have said why.
REFUSAL: Final = 30
# How JAX, its collectives and its coordinator say that a peer is gone.
_GONE: Final = (
    *("Gloo", "Connection reset", "Connection closed", "UNAVAILABLE", "coordination service", "heartbeat"),
    *("DEADLINE_EXCEEDED", "CANCELLED", "ABORTED", "NCCL", "Barrier"),
)


def join(coordinator: str, count: int | None, index: int | None) -> None:
    """Joins the other processes; before JAX is asked for anything else.

    Args:
        coordinator: HOST:PORT of the first process, the same for all; or "auto": JAX finds all three by itself under
            Slurm, Kubernetes, Open MPI and on TPU slices, and JAX_COORDINATOR_ADDRESS is read.
        count: how many processes; None with "auto".
        index: which of them this is, from 0; None with "auto".

    Raises:
        UserError: the flags do not go together, or the others do not come.
    """
    if coordinator != AUTO and (count is None or index is None or not 0 <= index < count):
        raise UserError(
            f"--coordinator={coordinator} needs --processes=N and --process_id from 0 to N-1, and they are "
            f"{count} and {index}"
        )
    try:
        jax.distributed.initialize(
            coordinator_address=None if coordinator == AUTO else coordinator,
            num_processes=count,
            process_id=index,
            heartbeat_timeout_seconds=HEARTBEAT,
            initialization_timeout=INITIALISE,
            shutdown_timeout_seconds=SHUTDOWN,
        )
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"the processes of --coordinator={coordinator} did not come together ({str(error).splitlines()[0]}); start "
            "all of them, with one address that all can reach"
        ) from error


def several() -> bool:
    """Whether there are others."""
    return jax.process_count() > 1


def is_first() -> bool:
    """Whether this is the process that writes."""
    return jax.process_index() == 0


def wait_for_all(what: str) -> None:
    """Returns once all processes have come to the same point.

    Args:
        what: the point, the same words in all of them.
    """
    if several():
        multihost_utils.sync_global_devices(what)


def preempted(step: int) -> bool:
    """Whether SIGTERM has come to any of the processes and all have agreed to stop after this step.

    To be called in all of them, once a round, with the number of steps done.
    """
    return several() and bool(multihost_utils.reached_preemption_sync_point(step))


@contextmanager
def leaving_together(expected: tuple[type[Exception], ...]) -> Iterator[None]:
    """Ends the process where the block fails while there are others: leaving in an orderly way would wait for them, who
    wait for us. A refusal (UserError, status 2) mostly comes to all and waits for theirs, `REFUSAL` seconds at most;
    anything else ends at once. The status is 75 where a peer is gone, which another start mends.

    Args:
        expected: what all processes raise together, which is handed on.
    """
    try:
        yield
    except Exception as error:
        if not several() or isinstance(error, expected):
            raise
        if isinstance(error, UserError):
            _leave(f"error: {error}", 2, after=REFUSAL)
        if any(sign in str(error) for sign in _GONE):
            first_line = str(error).splitlines()[0]
            _leave(
                f"process {jax.process_index()} of {jax.process_count()} stops: another one is gone ({first_line}); "
                "start all of them again, and they go on from the last checkpoint",
                TRY_AGAIN,
            )
        traceback.print_exc()
        _leave("", 1)
    except KeyboardInterrupt:
        if not several():
            raise
        _leave("interrupted; start all processes again, and they go on from the last checkpoint", 130)


def _leave(sentence: str, status: int, after: float = 0) -> NoReturn:
    """Says the sentence and ends the process, `after` seconds later at most, or as soon as all leave."""
    if sentence:
        sys.stderr.write(sentence + "\n")
    sys.stdout.flush()
    sys.stderr.flush()
    if after:
        patience = threading.Timer(after, os._exit, (status,))
        patience.start()
        with suppress(RuntimeError):  # a peer has gone otherwise
            jax.distributed.shutdown()
        patience.cancel()
    os._exit(status)
