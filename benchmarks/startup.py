"""How long does one wait before anything happens?

`--help` and the bare import of every command, each in a fresh interpreter: the slowest counts. And the time from typing
`make run`'s training command until the loss of the first step is on disk, with the compilation cache filled by an
earlier run (the round that does not count): interpreter, imports, dataset, compilation from the cache, the first step.
Nobody is raced; only this project is measured.
"""

import itertools
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.commands import run, train_until
from benchmarks.harness import ROOT, Contestant
from benchmarks.question import OURS, Limit, Measure, Question, Setting
from benchmarks.turn import Turn

# As `make run` trains.
FIRST_STEP = ["--model=cnn", "--dataset=synthetic", "--batch_size=32", "--epochs=5", "--bn_momentum=0.9"]


def commands() -> list[str]:
    """The modules of `experiments` that are commands."""
    paths = sorted((ROOT / "experiments").glob("*.py"))
    return [f"experiments.{path.stem}" for path in paths if "cli.main(" in path.read_text()]


def question(setting: Setting) -> Question:
    """The question."""
    helps = Measure("help", "--help, the slowest command", "s", "lower")
    imports = Measure("import", "import, the slowest command", "s", "lower")
    first = Measure("first_step", "from `make run`'s training command to its first step, warm cache", "s", "lower")
    each = [Measure(f"help {name}", f"--help of {name}", "s", "lower") for name in commands()]
    return Question(
        "How long does one wait before anything happens?",
        [Contestant(OURS, "benchmarks.startup:ours", {"work": str(setting.work / "startup")})],
        [helps, imports, first, *each],
        [Limit(helps, 1.0), Limit(imports, 1.0), Limit(first, 8.0)],
        rounds=3,
    )


def ours(*, work: str) -> Turn:
    """Prepares the synthetic dataset, then runs the commands."""
    folder = Path(work)
    folder.mkdir(parents=True)
    data_dir = f"--data_dir={folder / 'data'}"
    run("experiments.prepare", "--dataset=synthetic", data_dir)
    environment = {"JAX_COMPILATION_CACHE_DIR": str(folder / "cache")}
    runs = itertools.count()

    def seconds(*arguments: str) -> float:
        began = time.perf_counter()
        subprocess.run([sys.executable, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - began

    def turn() -> dict[str, float]:
        helps = {f"help {name}": seconds("-m", name, "--help") for name in commands()}
        imports = [seconds("-c", f"import {name}") for name in commands()]
        run_dir = folder / f"run{next(runs)}"
        first = train_until(1, run_dir, [*FIRST_STEP, data_dir], environment)
        return {"help": max(helps.values()), "import": max(imports), "first_step": first, **helps}

    return turn
