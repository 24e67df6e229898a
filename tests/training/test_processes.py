"""Real processes that train one run together over the loopback device: the numbers of one, and one of them stopped or
killed.
"""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from mole_jax.data.loader import evaluation_batches, train_batches

ROOT = Path(__file__).parents[2]
# One device a process, whatever the environment says.
ALONE = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": "", "PYTHONPATH": str(ROOT)}
FLAGS = ("--model=logistic", "--learning_rate=1e-4", "--augment=dihedral", "--noreport")


def free_port():
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def start(data_dir, run_dir, *flags, processes=2):
    """The processes of one run."""
    port = free_port()
    command = [
        sys.executable,
        "-m",
        "experiments.run",
        *FLAGS,
        *flags,
        f"--data_dir={data_dir}",
        f"--run_dir={run_dir}",
    ]
    group = [
        [*command, f"--coordinator=127.0.0.1:{port}", f"--processes={processes}", f"--process_id={i}"]
        for i in range(processes)
    ]
    pipe = subprocess.PIPE
    environment = {**os.environ, **ALONE}
    return [
        subprocess.Popen(each, cwd=run_dir.parent, env=environment, stdout=pipe, stderr=pipe, text=True)
        for each in (group if processes > 1 else [command])
    ]


def ends(processes):
    """(status, stdout, stderr) of each."""
    said = [process.communicate() for process in processes]
    return [(process.returncode, *each) for process, each in zip(processes, said, strict=True)]


def epochs(run_dir):
    lines = [json.loads(line) for line in (run_dir / "metrics.jsonl").read_text().splitlines()]
    return [
        {name: value for name, value in line.items() if not name.startswith("seconds")}
        for line in lines
        if "epoch" in line
    ]


def scores(run_dir, split):
    rows = list(csv.DictReader((run_dir / "predictions" / f"{split}.csv").read_text().splitlines()))
    return [row["image_id"] for row in rows], np.array([float(row["logit"]) for row in rows])


def files(run_dir):
    return {path.name for path in run_dir.iterdir() if not path.name.startswith("events.")}


def compare(together, alone):
    for ours, theirs in zip(epochs(together), epochs(alone), strict=True):
        for name, value in ours.items():
            np.testing.assert_allclose(value, theirs[name], rtol=1e-4, err_msg=name)
    for split in ("train", "validation", "test"):
        (ids, logits), (same, others) = scores(together, split), scores(alone, split)
        assert ids == same
        np.testing.assert_allclose(logits, others, rtol=1e-3, atol=1e-5)


@pytest.fixture(scope="module")
def alone(data_dir, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    ((status, _, error),) = ends(start(data_dir, run_dir, "--batch_size=8", "--epochs=3", processes=1))
    assert status == 0, error
    return run_dir


@pytest.mark.parametrize("processes", [2, pytest.param(4, marks=pytest.mark.slow)])
def test_they_give_the_numbers_of_one_and_the_first_alone_writes(data_dir, alone, tmp_path, processes):
    run_dir = tmp_path / "run"
    first, *others = ends(start(data_dir, run_dir, "--batch_size=8", "--epochs=3", processes=processes))
    assert first[0] == 0, first[2]
    assert f"{processes} of {processes} devices in {processes} processes: each batch in {processes} shares" in first[1]
    for status, out, error in others:
        assert status == 0, error
        assert [line for line in out.splitlines() if not line.startswith("[Gloo]")] == []
    compare(run_dir, alone)
    assert files(run_dir) == files(alone)
    assert len([*run_dir.glob("events.*")]) == 1


def test_killed_and_stopped_they_end_with_75_and_go_on_to_the_numbers_of_one(data_dir, alone, tmp_path):
    run_dir = tmp_path / "run"
    long = ("--batch_size=8", "--epochs=200", "--checkpoint_every=2")

    def until_it_trains(processes):
        log = run_dir / "metrics.jsonl"
        begun = log.read_text() if log.exists() else ""
        while all(process.poll() is None for process in processes) and (
            not log.exists() or log.read_text().count("\n") < begun.count("\n") + 4
        ):
            time.sleep(0.02)

    processes = start(data_dir, run_dir, *long)
    until_it_trains(processes)
    processes[1].kill()
    (status, _, error), (killed, _, _) = ends(processes)
    assert killed == -signal.SIGKILL
    assert status == 75, error
    assert "process 0 of 2 stops: another one is gone (" in error
    assert error.endswith("start all of them again, and they go on from the last checkpoint\n")
    processes = start(data_dir, run_dir, *long)
    until_it_trains(processes)
    processes[1].send_signal(signal.SIGTERM)
    ended = ends(processes)
    assert [status for status, _, _ in ended] == [75, 75], ended
    assert "goes on at step " in ended[0][1]
    assert all("saved at step " in error for _, _, error in ended)
    done = max(int(path.name) for path in (run_dir / "checkpoints").iterdir() if path.name.isdigit())
    assert json.loads((run_dir / "config.json").read_text())["epochs"] == 200
    assert 0 < done < 200 * 4
    if done < 12:  # not beyond where the run alone has ended
        assert [status for status, _, _ in ends(start(data_dir, run_dir, "--batch_size=8", "--epochs=3"))] == [0, 0]
        compare(run_dir, alone)


def test_a_batch_that_they_cannot_share_is_refused_by_all(data_dir, tmp_path):
    ended = ends(start(data_dir, tmp_path / "run", "--batch_size=7"))
    assert [status for status, _, _ in ended] == [2, 2], ended
    for _, _, error in ended:
        assert "leave 1 of the 2 devices of 2 processes idle, and all have to take part: give --mesh=2" in error
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("refusing", "statuses"), [((0, 1), [2, 2]), ((1,), [75, 2])])
def test_one_that_refuses_waits_a_while_for_the_others_to_refuse(tmp_path, refusing, statuses):
    program = f"""
import sys, time
from mole_jax import processes
from mole_jax.errors import UserError
index = int(sys.argv[1])
processes.join("127.0.0.1:{free_port()}", 2, index)
processes.REFUSAL = {30 if len(refusing) > 1 else 1}
with processes.leaving_together(()):
    processes.wait_for_all("the beginning")
    time.sleep(3 * index)  # the first, which the other's runtime needs, is ready to leave long before
    if index in {refusing}:
        raise UserError("no such thing")
    processes.wait_for_all("a point that the other never reaches")
"""
    command = [sys.executable, "-c", program]
    pipe = subprocess.PIPE
    environment = {**os.environ, **ALONE}
    ended = ends(
        [
            subprocess.Popen([*command, str(i)], cwd=tmp_path, env=environment, stdout=pipe, stderr=pipe, text=True)
            for i in range(2)
        ]
    )
    assert [status for status, _, _ in ended] == statuses, ended
    assert all("error: no such thing\n" in ended[index][2] for index in refusing)


@pytest.mark.parametrize("size", [4, 6])
def test_each_reads_its_own_rows_and_together_every_image_once(dataset, size):
    source, labels = dataset.splits["validation"], dataset.labels["validation"]
    halves = [slice(0, size // 2), slice(size // 2, size)]
    whole, *parts = ([*evaluation_batches(source, batch_size=size, rows=rows)] for rows in (slice(None), *halves))
    for batch, *of_parts in zip(whole, *parts, strict=True):
        for name, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in of_parts]), values)
    assert sum(int(batch["mask"].sum()) for part in parts for batch in part) == len(source)
    options = {"batch_size": size, "end": 5, "seed": 3, "balance": "sampler"}
    whole, *parts = ([*train_batches(source, labels, **options, rows=rows)] for rows in (slice(None), *halves))
    for batch, *of_parts in zip(whole, *parts, strict=True):
        for name, values in batch.items():
            np.testing.assert_array_equal(np.concatenate([part[name] for part in of_parts]), values)
