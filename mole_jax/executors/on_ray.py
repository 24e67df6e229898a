"""Jobs on a Ray cluster, or on a Ray of this process' own where no address is given. Needs the package ray.

Each job is a child process of a Ray actor, which holds its resources: XLA may end a process without an exception, and
must not take Ray's worker with it. Where a worker or its machine is lost, the job counts as killed; started again, it
goes on from its checkpoint wherever Ray puts it, which takes storage that all machines see at the same path.
"""

import socket
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from mole_jax.errors import UserError, optional
from mole_jax.executors.base import LOST, Ended, Job, last_words
from mole_jax.executors.child import command as child_command

REACH: Final = 5.0  # seconds to wait for an address to answer
AGAIN: Final = "start the cluster (ray start --head), or leave out --address for a Ray of this machine alone"


class RayExecutor:
    """Actors on a Ray cluster; Ray holds those back for which there is no room yet."""

    def __init__(self, address: str, resources: Mapping[str, float]) -> None:
        """Connects.

        Args:
            address: "" for a Ray of this process; "auto", "HOST:PORT", or "ray://HOST:PORT".
            resources: of one job, "cpu", "gpu" or a resource that the cluster names, such as "TPU".

        Raises:
            UserError: ray is not installed, or the address does not answer.
        """
        self._ray = optional("ray", wanted_by="--executor=ray", extra="ray")
        _refuse_unreachable(address)
        try:
            self._ray.init(
                address=address or "local",
                log_to_driver=False,
                logging_level="ERROR",
                **({"include_dashboard": False} if not address else {}),
            )
        except Exception as error:  # Ray raises bare ones where a machine is too busy to start it in time
            first = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"Ray at {address or 'this machine'!r} cannot be joined ({first}); {AGAIN}") from error
        own = {name: number for name, number in resources.items() if name not in ("cpu", "gpu")}
        self._actor = self._ray.remote(
            num_cpus=resources.get("cpu", 1),
            num_gpus=resources.get("gpu", 0),
            resources=own,
            max_concurrency=2,  # `stop` is heard while `run` waits
            max_restarts=0,
        )(Child)
        self._refuse_too_much(resources)
        self._running: dict[str, tuple[Any, Any, Job]] = {}

    def start(self, job: Job) -> None:
        """As `Executor.start`."""
        actor = self._actor.remote()
        self._running[job.name] = actor, actor.run.remote(job.arguments, str(job.folder), str(job.log)), job

    def wait(self, seconds: float) -> list[Ended]:
        """As `Executor.wait`."""
        names = {result: name for name, (_, result, _) in self._running.items()}
        done, _ = self._ray.wait([*names], num_returns=1, timeout=seconds)
        return [self._bury(names[result]) for result in done]

    def stop(self, name: str) -> None:
        """As `Executor.stop`."""
        if name in self._running:
            self._running[name][0].stop.remote()

    def close(self) -> None:
        """As `Executor.close`; also leaves the cluster."""
        for name in self._running:
            self.stop(name)
        for _, result, _ in self._running.values():
            try:
                self._ray.get(result)
            except self._ray.exceptions.RayError:
                continue
        self._running.clear()
        self._ray.shutdown()

    def _bury(self, name: str) -> Ended:
        actor, result, job = self._running.pop(name)
        try:
            status, words = self._ray.get(result)
        except self._ray.exceptions.RayError as error:
            return Ended(name, LOST, f"its worker was lost ({str(error).splitlines()[0]})")
        finally:
            self._ray.kill(actor)
        return Ended(job.name, status, words)

    def _refuse_too_much(self, resources: Mapping[str, float]) -> None:
        """Refuses what Ray would wait for without a word."""
        there = self._ray.cluster_resources()
        for name, number in resources.items():
            of_cluster = there.get({"cpu": "CPU", "gpu": "GPU"}.get(name, name), 0)
            if number > of_cluster:
                self._ray.shutdown()
                raise UserError(
                    f"a trial asks for {name}={number:g} and the whole Ray cluster has {of_cluster:g}; give a smaller "
                    "--resources, or add machines"
                )


class Child:
    """Runs on a worker: one child process, and its end."""

    def __init__(self) -> None:
        """Nothing runs yet."""
        self._child: subprocess.Popen[bytes] | None = None
        self._stopped = False

    def run(self, arguments: tuple[str, ...], folder: str, log: str) -> tuple[int, str]:
        """Runs a program to its end; gives its status and last words."""
        path = Path(folder) / log
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("ab") as output:
            self._child = subprocess.Popen(
                child_command(arguments),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        if self._stopped:
            self._child.terminate()
        return self._child.wait(), last_words(path)

    def stop(self) -> None:
        """Asks the program to save and to end."""
        self._stopped = True
        if self._child is not None:
            self._child.terminate()


def parse_resources(text: str) -> dict[str, float]:
    """Resource -> how much of it, from "cpu=2,gpu=1".

    Raises:
        UserError: a part is not name=number.
    """
    found: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, number = part.partition("=")
        try:
            found[name.strip()] = float(number)
        except ValueError:
            found[name.strip()] = -1.0
        if not name.strip() or not found[name.strip()] > 0:
            raise UserError(
                f"--resources: {part!r} is not name=number; write cpu=2,gpu=1, or a resource of the cluster"
            )
    return found


def _refuse_unreachable(address: str) -> None:
    """Raises UserError where nobody listens at HOST:PORT: Ray would try for minutes, with pages of messages."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in ("", "auto"):
        return
    if not host or not port.isdigit():
        raise UserError(f"--address={address} is no address of a Ray cluster: give auto, HOST:PORT or ray://HOST:PORT")
    until = time.monotonic() + REACH
    while True:
        try:
            socket.create_connection((host, int(port)), timeout=REACH).close()
        except (OSError, OverflowError) as error:
            if isinstance(error, ConnectionRefusedError) or time.monotonic() > until:
                raise UserError(f"nobody answers at --address={address} ({error}); {AGAIN}") from error
            time.sleep(0.2)
        else:
            return
