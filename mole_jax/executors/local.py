"""Jobs in child processes of this one; no service is needed."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from typing import Final

from mole_jax.executors.base import Ended, Job, last_words
from mole_jax.executors.devices import Share

POLL: Final = 0.05  # seconds
_PARENT_DIED: Final = 1  # Linux' PR_SET_PDEATHSIG


class LocalExecutor:
    """As many child processes at once as there are shares; a job beyond them is an error."""

    def __init__(self, shares: Sequence[Share]) -> None:
        """Starts nothing yet.

        Args:
            shares: what each process may use.
        """
        self._free = list(range(len(shares)))
        self._shares = shares
        self._running: dict[str, tuple[subprocess.Popen[bytes], Job, int]] = {}

    def start(self, job: Job) -> None:
        """As `Executor.start`."""
        slot = self._free.pop(0)
        share = self._shares[slot]
        log = job.folder / job.log
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as output:
            child = subprocess.Popen(
                [sys.executable, *job.arguments],
                cwd=job.folder,
                env={**os.environ, **share.environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C reaches this process alone, which passes it on
                preexec_fn=at_birth(share.cores) if sys.platform == "linux" else None,
            )
        self._running[job.name] = child, job, slot

    def wait(self, seconds: float) -> list[Ended]:
        """As `Executor.wait`."""
        until = time.monotonic() + seconds
        while True:
            ended = [self._bury(name) for name, (child, _, _) in [*self._running.items()] if child.poll() is not None]
            if ended or time.monotonic() >= until:
                return ended
            time.sleep(POLL)

    def stop(self, name: str) -> None:
        """As `Executor.stop`."""
        if name in self._running:
            self._running[name][0].send_signal(signal.SIGTERM)

    def close(self) -> None:
        """As `Executor.close`; interrupted meanwhile, it kills them."""
        for child, _, _ in self._running.values():
            child.send_signal(signal.SIGTERM)
        try:
            for child, _, _ in self._running.values():
                child.wait()
        except KeyboardInterrupt:
            for child, _, _ in self._running.values():
                child.kill()
                child.wait()
            raise
        finally:
            self._running.clear()

    def _bury(self, name: str) -> Ended:
        child, job, slot = self._running.pop(name)
        self._free.append(slot)
        return Ended(name, int(child.returncode), last_words(job.folder / job.log))


def at_birth(cores: frozenset[int]) -> Callable[[], None]:
    """What a child does on Linux before its program begins: it asks to be killed when this process is, so that nothing
    of ours is left that would hold a trial's directory against the next start.

    Args:
        cores: the cores that it may use; empty: all.
    """
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()  # looked up here: a forked child should do little

    def begin() -> None:
        prctl(_PARENT_DIED, signal.SIGKILL)
        if os.getppid() != parent:  # it died in between
            os._exit(1)
        if cores:
            os.sched_setaffinity(0, cores)

    return begin
