"""Jobs as Slurm jobs: sbatch, squeue and scancel, on a folder that all machines see. No package is needed."""

import shlex
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from mole_jax.errors import UserError
from mole_jax.executors.base import LOST, Ended, Job, last_words

LOOK: Final = 2.0  # seconds between two questions to Slurm, which serves many
GRACE: Final = 120  # seconds before a time limit at which a job is told to save
# The batch shell hears of the time limit, a pre-emption or scancel, and passes it on; what its program says is written
# where the driver finds it even if Slurm keeps no accounts.
SCRIPT: Final = """#!/bin/bash
cd {folder} || exit 2
rm -f {status}
{python} {arguments} < /dev/null & child=$!
trap 'kill -TERM $child' TERM
wait $child; code=$?
while kill -0 $child 2> /dev/null; do wait $child; code=$?; done
echo $code > {status}.part && mv {status}.part {status}
exit $code
"""


class SlurmExecutor:
    """One Slurm job a job; Slurm holds them back until there is room."""

    def __init__(self, options: Sequence[str] = (), python: str = "python") -> None:
        """Asks for Slurm.

        Args:
            options: of sbatch, such as "--gres=gpu:1".
            python: the interpreter on the machines of the cluster.

        Raises:
            UserError: this machine has no Slurm.
        """
        if missing := [name for name in ("sbatch", "squeue", "scancel") if shutil.which(name) is None]:
            raise UserError(f"--executor=slurm needs {missing[0]}, which is not here: start the sweep on a login node")
        self._options, self._python = options, python
        self._running: dict[str, tuple[str, Job]] = {}

    def start(self, job: Job) -> None:
        """As `Executor.start`.

        Raises:
            UserError: Slurm refuses the job; its words.
        """
        log = job.folder / job.log
        log.parent.mkdir(parents=True, exist_ok=True)
        script = SCRIPT.format(
            folder=shlex.quote(str(job.folder.absolute())),
            status=shlex.quote(str(_status_file(job).absolute())),
            python=shlex.quote(self._python),
            arguments=shlex.join(job.arguments),
        )
        own = ["--parsable", f"--job-name={job.name}", f"--output={log.absolute()}", "--open-mode=append"]
        command = ["sbatch", *own, "--requeue", f"--signal=B:TERM@{GRACE}", *self._options]
        done = subprocess.run(command, input=script, capture_output=True, text=True, check=False)
        if done.returncode:
            raise UserError(f"Slurm refuses {job.name}: {done.stderr.strip()}; give other --slurm options")
        self._running[job.name] = done.stdout.strip().partition(";")[0], job

    def wait(self, seconds: float) -> list[Ended]:
        """As `Executor.wait`."""
        until = time.monotonic() + seconds
        while True:
            known = self._known()
            ended = [name for name, (number, _) in self._running.items() if number not in known]
            if ended or time.monotonic() >= until:
                return [self._bury(name) for name in ended]
            time.sleep(min(LOOK, max(0.0, until - time.monotonic())))

    def stop(self, name: str) -> None:
        """As `Executor.stop`."""
        if name in self._running:
            _run("scancel", "--batch", "--signal=TERM", self._running[name][0])

    def close(self) -> None:
        """As `Executor.close`; what waits in the queue is taken out of it."""
        for name, (number, _) in self._running.items():
            _run("scancel", "--state=PENDING", number)
            self.stop(name)
        while self._running:
            self.wait(LOOK)

    def _known(self) -> set[str]:
        """The jobs that Slurm still has."""
        return set(_run("squeue", "--noheader", "--format=%i", "--me").split())

    def _bury(self, name: str) -> Ended:
        _, job = self._running.pop(name)
        try:
            status = int(_status_file(job).read_text())
        except (OSError, ValueError):
            return Ended(name, LOST, "Slurm ended it")
        # A shell says 128 + n of a program that signal n has killed.
        return Ended(name, 128 - status if status > 128 else status, last_words(job.folder / job.log))


def _status_file(job: Job) -> Path:
    return (job.folder / job.log).with_suffix(".status")


def _run(*command: str) -> str:
    """What a command of Slurm's prints; asked again while its service is busy."""
    for _ in range(30):
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode == 0 or command[0] == "scancel":
            break
        time.sleep(LOOK)
    else:
        raise UserError(f"{command[0]} fails ({done.stderr.strip()}); give the same command again when Slurm is back")
    return done.stdout
