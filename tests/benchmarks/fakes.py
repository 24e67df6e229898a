"""Contestants that compute nothing, for the tests of the harness; each notes its turns in a file."""

import itertools
import os
import subprocess
import sys
import time
from pathlib import Path


def counter(*, name, log):
    """Its turns give 1, 2, 3, ...; the file shows who was asked when, and in which process."""
    numbers = itertools.count(1)

    def turn():
        with Path(log).open("a") as file:
            file.write(f"{name} {os.getpid()}\n")
        return {"rate": float(next(numbers))}

    return turn


def without_its_framework():
    raise ModuleNotFoundError("No module named 'torch'", name="torch")


def elsewhere():
    from benchmarks.turn import Absent

    raise Absent("this peer sees no GPU")


def with_a_broken_import():
    import json.nothing_of_this_name  # noqa: F401


def breaks_at_turn(*, number):
    turns = itertools.count(1)

    def turn():
        if next(turns) == number:
            raise ValueError("a stone in the shoe")
        return {"rate": 1.0}

    return turn


def chatty():
    sys.stdout.write("Epoch 1/5\n")
    return lambda: {"rate": float(sys.stdout.write("12"))}


def hungry(*, megabytes):
    def turn():
        return {"bytes": float(len(bytearray(megabytes * 1_000_000)))}

    return turn


def flag():
    return lambda: {"flag": float(os.environ["FLAG"])}


def endless(*, file):
    def turn():
        child = subprocess.Popen(["sleep", "600"])
        Path(file).write_text(f"{os.getpid()} {child.pid}")
        time.sleep(600)
        return {}

    return turn
