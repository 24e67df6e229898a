"""What test_ray.py does inside a network namespace of its own: python on_ray.py SCENARIO FOLDER."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

from mole_jax.errors import UserError
from mole_jax.executors.base import Job
from mole_jax.executors.devices import Share
from mole_jax.executors.local import LocalExecutor
from mole_jax.executors.on_ray import RayExecutor
from mole_jax.executors.schedule import run_jobs

ROOT = Path(__file__).parents[2]
COUNTING = str(Path(__file__).with_name("counting.py"))


class Jobs:
    """Four jobs that count; one of them is refused."""

    def __init__(self, folder, end, pause):
        self.waiting = [
            Job(name, (COUNTING, str(folder / name), str(end), str(pause)), folder, Path(f"{name}.log"))
            for name in ("a", "b", "c")
        ]
        self.waiting.append(Job("d", ("-c", "print('error: no'); raise SystemExit(2)"), folder, Path("d.log")))
        self.final, self.again = {}, []

    def next(self):
        return self.waiting.pop(0) if self.waiting else None

    def started(self, job, attempt):
        pass

    def ended(self, job, ended, *, again):
        if again:
            self.again.append(job.name)
        else:
            self.final[job.name] = (ended.status, ended.words)

    def poor(self, running):
        return []


def counts_to(path, least):
    while not path.exists() or int(path.read_text()) < least:
        time.sleep(0.05)


def run(folder, executor, *, end=3, pause=0.01, retries=2):
    jobs = Jobs(folder, end, pause)
    run_jobs(jobs, executor, parallel=4, retries=retries)
    return jobs


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def gone(pid):
    """Whether a process has ended, and perhaps waits for a parent to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def child_that_counts(place):
    out = subprocess.run(["pgrep", "-f", f"counting.py {place} "], capture_output=True, text=True, check=True).stdout
    return int(out.split()[0])


def same_as_local(folder):
    for name in ("ray", "local"):
        (folder / name).mkdir()
    on_ray = run(folder / "ray", RayExecutor("", {"cpu": 0.5}))
    local = run(folder / "local", LocalExecutor([Share()] * 4))
    assert on_ray.final == local.final == {**dict.fromkeys("abc", (0, "counted")), "d": (2, "error: no")}


def worker_killed(folder):
    """The job of a worker that is killed goes on elsewhere from where it was."""

    class Kills(RayExecutor):
        def wait(self, seconds):
            place = folder / "b"
            if not self.killed and place.exists() and int(place.read_text()) >= 3:
                self.killed = True
                os.kill(parent_of(child_that_counts(place)), signal.SIGKILL)
            return super().wait(0.1)

    executor = Kills("", {"cpu": 0.5})
    executor.killed = False
    jobs = run(folder, executor, end=30, pause=0.1)
    assert jobs.again == ["b"]
    assert jobs.final["b"] == (0, "counted")
    starts = [int(line.split()[-1]) for line in (folder / "b.log").read_text().splitlines() if "goes on" in line]
    assert starts[0] == 0 and starts[1] >= 3, starts


def driver_killed(folder):
    """A driver that is killed leaves no job behind; started again, it goes on."""
    again = [sys.executable, __file__, "drive", str(folder)]
    driver = subprocess.Popen(again)
    counts_to(folder / "a", 3)
    child = child_that_counts(folder / "a")
    driver.kill()
    driver.wait()
    while not gone(child):
        time.sleep(0.05)
    assert int((folder / "a").read_text()) < 30
    assert subprocess.run(again, check=False).returncode == 0
    starts = [int(line.split()[-1]) for line in (folder / "a.log").read_text().splitlines() if "goes on" in line]
    assert len(starts) == 2 and starts[1] >= 3, starts


def drive(folder):
    jobs = run(folder, RayExecutor("", {"cpu": 0.5}), end=30, pause=0.1)
    assert jobs.final["a"] == (0, "counted")


def stops(folder):
    """What runs is asked to save."""
    executor = RayExecutor("", {"cpu": 0.5})
    job = Jobs(folder, 1000, 0.1).waiting[0]
    executor.start(job)
    counts_to(folder / "a", 1)
    executor.stop("a")
    (ended,) = executor.wait(60)
    assert ended.status == 75, ended
    executor.close()


def sweep(folder):
    """The command's sweep has the table of a local one; its trials run in Ray's processes."""
    command = [sys.executable, "-m", "experiments.prepare", "--dataset=synthetic", "--examples=50"]
    subprocess.run([*command, f"--data_dir={folder}/data"], check=True, cwd=ROOT)
    command = [sys.executable, "-m", "experiments.sweep", "--model=logistic", "--normalize=batch", "--epochs=1"]
    command += ["--grid=learning_rate=1e-4,1e-3", "--batch_size=10", f"--data_dir={folder}/data"]
    for name, flags in (("ray", ["--resources=cpu=0.5"]), ("local", ["--max_parallel=2"])):
        flags += [f"--executor={name}", f"--run_dir={folder}/{name}"]
        subprocess.run([*command, *flags], check=True, cwd=ROOT)
    ray, local = ((folder / name / "sweep.csv").read_text() for name in ("ray", "local"))
    assert without_times(ray) == without_times(local)


def without_times(table):
    rows = list(csv.DictReader(table.splitlines()))
    assert len(rows) == 2
    return [{name: value for name, value in row.items() if "seconds" not in name} for row in rows]


def refusals(folder):
    for address, resources, message in (
        ("127.0.0.1:9", {"cpu": 1}, "nobody answers at --address=127.0.0.1:9"),
        ("ray://127.0.0.1:9", {"cpu": 1}, "nobody answers at --address=ray://127.0.0.1:9"),
        ("", {"cpu": 100000}, "a trial asks for cpu=100000 and the whole Ray cluster has "),
        ("auto", {"cpu": 1}, "Ray at 'auto' cannot be joined"),
    ):
        try:
            RayExecutor(address, resources)
        except UserError as error:
            assert str(error).startswith(message), error
        else:
            raise AssertionError(address)


if __name__ == "__main__":
    globals()[sys.argv[1]](Path(sys.argv[2]))
    assert "jax" not in sys.modules, "a driver that imports JAX takes the accelerators"
