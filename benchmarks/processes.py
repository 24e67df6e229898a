"""What do several processes of one run cost?

One machine trains logistic regression as 1, 2 and 4 processes that talk over its loopback device. The cores are the
same ones each time, so what more processes take longer is overhead: messages between them instead of between threads,
and a loader and a Python in each. So there is no target. Strong scaling keeps the batch, weak scaling the images a
process; both count images a second of the whole run, from its steps alone (`timing.json`: step and data), without the
start, and after an epoch that does not count.

Fair: each reads its own rows of every batch, as on machines of their own.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

from benchmarks.harness import Contestant
from benchmarks.images import prepare_dataset, write_folder
from benchmarks.question import OURS, Measure, Question, Setting
from benchmarks.turn import Turn

PROCESSES = (1, 2, 4)
STRONG = 128  # images a step, of any number of processes
WEAK = 32  # images a step and process


def question(setting: Setting) -> Question:
    """The question."""
    images, epochs = (512, 2) if setting.quick else (1000, 3)
    data_dir = prepare_dataset(setting, write_folder(setting, images), f"images_{images}")
    common = {"data_dir": str(data_dir), "dataset": f"images_{images}", "epochs": epochs}
    return Question(
        "What do several processes of one run cost?",
        [
            Contestant(
                OURS if n == 1 else f"{OURS}, {n} processes",
                "benchmarks.processes:ours",
                common | {"processes": n, "work": str(setting.work / f"processes-{n}")},
            )
            for n in PROCESSES
        ],
        [
            Measure("strong", f"logistic regression, {STRONG} images a step", "images/s"),
            Measure("weak", f"logistic regression, {WEAK} images a step and process", "images/s"),
        ],
        [],
        rounds=2,
        note="Processes on the same cores: overhead, and no speed-up of several machines.",
    )


def ours(*, processes: int, data_dir: str, dataset: str, epochs: int, work: str) -> Turn:
    """Whole runs, whose steps are timed from their second epoch on."""

    def images_a_second(batch: int) -> float:
        shutil.rmtree(work, ignore_errors=True)
        Path(work).mkdir(parents=True)
        with socket.socket() as listening:
            listening.bind(("127.0.0.1", 0))
            port = listening.getsockname()[1]
        command = [sys.executable, "-m", "experiments.run", "--model=logistic", "--noreport", "--track=none"]
        command += [f"--data_dir={data_dir}", f"--dataset={dataset}", f"--epochs={epochs}", f"--batch_size={batch}"]
        command += ["--learning_rate=1e-4", f"--run_dir={work}/run"]
        group = [
            [*command, f"--coordinator=127.0.0.1:{port}", f"--processes={processes}", f"--process_id={i}"]
            for i in range(processes)
        ]
        environment, nowhere = {**os.environ, "JAX_PLATFORMS": "cpu"}, subprocess.DEVNULL
        started = [
            subprocess.Popen(each, env=environment, stdout=nowhere, stderr=nowhere)
            for each in (group if processes > 1 else [command])
        ]
        if failed := [child.returncode for child in started if child.wait()]:
            raise RuntimeError(f"a process of {processes} ended with status {failed[0]}")
        lines = [json.loads(line) for line in (Path(work) / "run" / "metrics.jsonl").read_text().splitlines()]
        ends = [line for line in lines if "epoch" in line]
        seconds = sum(line["seconds_step"] + line["seconds_data"] for line in ends[1:])
        return float((ends[-1]["step"] - ends[0]["step"]) * batch / seconds)

    return lambda: {"strong": images_a_second(STRONG), "weak": images_a_second(WEAK * processes)}
