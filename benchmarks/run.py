"""This project beside the stacks that a user would pick instead: one run on one machine, with targets.

    python -m benchmarks.run --source=DIR
    python -m benchmarks.run --only=cnn_step,loader --quick

DIR holds the folders Melanoma/ and NotMelanoma/ with JPEGs; without it, drawn images are used. The peers are the extra
`benchmarks` (pip install -e '.[benchmarks]'); one that is not installed is a missing row. Figures of a busy machine
are worth their ratios only.
"""

import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from absl import flags

from benchmarks import (
    augmentation,
    cnn_step,
    efficientnet_step,
    epoch,
    loading,
    logistic_grid,
    memory,
    mesh,
    preparing,
    processes,
    resnet_features,
    scaling,
    startup,
    transfer,
)
from benchmarks.harness import compete
from benchmarks.images import CLASSES
from benchmarks.machine import this_machine, versions
from benchmarks.question import Question, Setting
from benchmarks.table import About, Answer, as_json, as_markdown, as_text
from experiments import cli
from mole_jax.errors import UserError

# One file a question. Some ask once for each compute type that makes sense on the machine.
QUESTIONS: dict[str, Callable[[Setting], list[Question]]] = {
    "cnn_step": lambda setting: [cnn_step.question(setting, dtype=dtype) for dtype in setting.machine.dtypes],
    "augmentation": lambda setting: [augmentation.question(setting)],
    "resnet_features": lambda setting: [resnet_features.question(setting, dtype=d) for d in setting.machine.dtypes],
    "efficientnet_step": lambda setting: [efficientnet_step.question(setting)],
    "epoch": lambda setting: [epoch.question(setting)],
    "transfer": lambda setting: [transfer.question(setting)],
    "logistic_grid": lambda setting: [logistic_grid.question(setting)],
    "loading": lambda setting: [loading.question(setting)],
    "preparing": lambda setting: [preparing.question(setting)],
    "startup": lambda setting: [startup.question(setting)],
    "memory": lambda setting: [memory.question(setting)],
    "scaling": lambda setting: [scaling.question(setting)],
    "mesh": lambda setting: [mesh.question(setting)],
    "processes": lambda setting: [processes.question(setting)],
}

ONLY = flags.DEFINE_list("only", [], f"these questions: {', '.join(QUESTIONS)}; default: all")
ROUNDS = flags.DEFINE_integer("rounds", 0, "turns of each contestant; 0: each question's own number", lower_bound=0)
QUICK = flags.DEFINE_bool("quick", False, "small sizes and few rounds: a whole pass in a few minutes, coarse ratios")
SOURCE = flags.DEFINE_string("source", None, "a folder of real images with Melanoma/ and NotMelanoma/")
IMAGES = flags.DEFINE_integer("images", 512, "JPEGs of the questions that read a folder", lower_bound=16)
OUT = flags.DEFINE_string("out", ".", "where benchmarks.json and benchmarks.md are written")


def command() -> int:
    """Asks the questions and writes the answers after each, so that a broken run leaves what it had."""
    if unknown := sorted(set(ONLY.value) - set(QUESTIONS)):
        raise UserError(f"no question {unknown[0]!r}; there are {', '.join(QUESTIONS)}")
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))  # takes the contestants with it
    source = None if SOURCE.value is None else Path(SOURCE.value).expanduser().resolve()
    if source is not None:
        for name in CLASSES:
            if not any((source / name).glob("*.jp*g")):
                raise UserError(f"--source={source} has no JPEGs in a folder {name}; give the folder that holds both")
    out = Path(OUT.value)
    out.mkdir(parents=True, exist_ok=True)
    machine = this_machine()
    about = About(" ".join(["python -m benchmarks.run", *sys.argv[1:]]), machine, versions())
    print(machine.describe(), flush=True)
    answers: list[Answer] = []
    with tempfile.TemporaryDirectory(prefix="mole_jax_benchmarks_") as work:
        setting = Setting(ROUNDS.value, QUICK.value, source, IMAGES.value, Path(work), machine)
        for name in ONLY.value or QUESTIONS:
            for question in QUESTIONS[name](setting):
                answers.append(ask(name, question, setting))
                print(f"\n{as_text(answers[-1], machine)}", flush=True)
                (out / "benchmarks.json").write_text(as_json(answers, about))
                (out / "benchmarks.md").write_text(as_markdown(answers, about))
    print(f"{out / 'benchmarks.json'}, {out / 'benchmarks.md'}")
    return 1 if any(answer.outcome.failed for answer in answers) else 0


def ask(name: str, question: Question, setting: Setting) -> Answer:
    """Measures one question and judges what came of it."""

    def say(text: str) -> None:
        print(f"  {text}", file=sys.stderr, flush=True)

    print(f"\n{name}: {question.title}", file=sys.stderr, flush=True)
    began = time.perf_counter()
    outcome = compete(
        question.contestants,
        rounds=setting.rounds or (min(2, question.rounds) if setting.quick else question.rounds),
        warm_up=question.warm_up,
        logs=setting.work / "logs",
        say=say,
    )
    verdicts = [target.judge(outcome) for target in question.targets]
    return Answer(name, question, outcome, verdicts, time.perf_counter() - began)


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "")
