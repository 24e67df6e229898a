"""Random damage, kills, replacements and reruns of every command, one after the other, on small runs.

    python tests/hostile/soak.py --mixed --minutes=60 --seed=0

A round begins with the same world: a dataset, two finished runs, and files of a user's own wherever there is room for
them. What must hold after every command, however it ended: the user's files are as they were; there is no traceback;
and a command that ended well gives the figures of an undisturbed world, unless what it printed says what was wrong.
"""

import hashlib
import os
import random
import shutil
import signal
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from PIL import Image

ENDINGS = {0, 2, 3, 4, 75, 130, 143}
DONE = {0, 4}  # 4: a file among the photographs is none
# Words with which a command says that something is not as it was.
SAID = ("warning", "is kept", "not used", "begins again", "goes on at step")


@dataclass(frozen=True)
class Command:
    """A command of the world.

    Attributes:
        module: of `experiments`.
        flags: with {w} in place of the world's folder.
        figures: files, relative to the world, that an undisturbed world would have the same after it.
    """

    module: str
    flags: tuple[str, ...]
    figures: tuple[str, ...] = ()


TRAIN = ("--model=logistic", "--learning_rate=0.001", "--batch_size=6", "--checkpoint_every=4", "--data_dir={w}/data")
RUN = ("predictions/test.csv", "predictions/validation.csv", "metrics.json", "classifier/variables.safetensors")


def train(run: str, seed: int, epochs: int) -> Command:
    """Trains one of the runs, or goes on with it."""
    flags = (*TRAIN, f"--seed={seed}", f"--epochs={epochs}", f"--run_dir={{w}}/runs/{run}")
    return Command("run", flags, tuple(f"runs/{run}/{name}" for name in RUN))


def prepare(name: str, *flags: str) -> Command:
    """Prepares a dataset."""
    return Command("prepare", (f"--dataset={name}", "--data_dir={w}/data", *flags))


SMALL = prepare("synthetic", "--examples=60")
OTHER = prepare("other", "--layout=synthetic", "--examples=40", "--seed=9")
COMMANDS: tuple[Command, ...] = (
    SMALL,
    prepare("synthetic", "--examples=60", "--overwrite"),
    prepare("synthetic", "--examples=60", "--overwrite", "--seed=1"),
    prepare("mine", "--source={w}/photos", "--overwrite"),
    train("a", 0, 2),
    train("b", 1, 2),
    train("a", 0, 3),
    replace(train("a", 5, 2), figures=()),  # refused: another config
    Command("report", ("--runs={w}/runs/a,{w}/runs/b", "--out={w}/pages/report.html"), ("pages/figures/results.csv",)),
    Command("report", ("--runs={w}/runs/a", "--out={w}/runs/a/config.json")),  # refused
    Command("evaluate", ("--predictions={w}/runs/b/predictions/test.csv", "--out={w}/runs/a")),  # refused
    Command("evaluate", ("--predictions={w}/runs/a/predictions/test.csv", "--out={w}/figures")),
    Command(
        "evaluate",
        ("--run={w}/runs/a", "--dataset=other", "--data_dir={w}/data"),
        ("runs/a/external/other/predictions.csv",),
    ),
    Command("predict", ("--run={w}/runs/a", "--images={w}/photos", "--out={w}/scores.csv"), ("scores.csv",)),
    Command("sweep", (*TRAIN, "--epochs=1", "--grid=seed=0,1", "--run_dir={w}/runs/sweep"), ("runs/sweep/sweep.csv",)),
)
MINE = (  # files of the user's
    "SHA256SUMS",
    "data/mine/incomplete/a.jpg",
    "data/mine/notes.txt",
    "data/synthetic/replaced/b.jpg",
    "figures/mine.csv",
    "pages/figures/mine.svg",
    "pages/mine.html",
    "photos/LICENSE.txt",
    "runs/a/mine.txt",
    "runs/notes.txt",
)
START = b"this is mine"  # how they begin
Fork = Callable[[str, list[str], Path], int]


def mixed(
    *, minutes: float, rounds: int | None, seed: int, work: Path, fork: Fork, tell: Callable[[str], None]
) -> Counter[str]:
    """Disturbs worlds until the time is over.

    Args:
        minutes: how long.
        rounds: how many worlds; None: as many as the time allows.
        seed: of the disturbances.
        work: an empty folder.
        fork: starts a command in a process of its own, its output in a file; gives the process's number.
        tell: called with a line for people after each world.

    Returns:
        how often what happened.

    Raises:
        AssertionError: something did not hold; says in which round, after what.
    """
    template = work / "template"
    _make_world(template, work, fork)
    expected = _undisturbed(template, work, fork)
    happened: Counter[str] = Counter()
    end, number = time.monotonic() + 60 * minutes, 0
    while time.monotonic() < end and number != rounds:
        chance = random.Random(f"{seed}/{number}")
        world = work / "world"
        shutil.copytree(template, world, symlinks=True)
        story: list[str] = []
        for _ in range(chance.randint(2, 4)):
            _disturb(world, chance, story, work, fork)
            _check(world, chance.choice(COMMANDS), expected, story, happened, work, fork)
        shutil.rmtree(world)
        number += 1
        tell(f"round {number}: {'; '.join(story)}")
    return happened


def _make_world(world: Path, work: Path, fork: Fork) -> None:
    for command in (SMALL, OTHER, train("a", 0, 2), train("b", 1, 2)):
        status, said = _run(command, world, work, fork)
        assert status == 0, said
    for i in range(6):
        folder = world / "photos" / ("Melanoma", "NotMelanoma")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.linear_gradient("L").resize((100 + i, 80)).convert("RGB").save(folder / f"{i}.png")
    for name in MINE:
        (world / name).parent.mkdir(parents=True, exist_ok=True)
        (world / name).write_bytes(START + f": {name}\n".encode())


def _undisturbed(template: Path, work: Path, fork: Fork) -> dict[Command, dict[str, str]]:
    """What each command leaves in a world that nothing has happened to."""
    expected = {}
    for command in COMMANDS:
        if not command.figures:
            continue
        world = work / "world"
        shutil.copytree(template, world, symlinks=True)
        status, said = _run(command, world, work, fork)
        assert status in DONE, f"{command}: {status}\n{said}"
        expected[command] = {name: _digest(world / name) for name in command.figures}
        shutil.rmtree(world)
    return expected


def _check(
    world: Path,
    command: Command,
    expected: dict[Command, dict[str, str]],
    story: list[str],
    happened: Counter[str],
    work: Path,
    fork: Fork,
) -> None:
    before = _users_files(world)
    status, said = _run(command, world, work, fork)
    story.append(f"{command.module} ended with {status}")
    happened[f"{command.module} {status}"] += 1
    where = "; ".join(story)
    assert _users_files(world) == before, f"a file of the user's is another one: {where}\n{said}"
    assert "Traceback" not in said, f"a traceback: {where}\n{said}"
    assert status in ENDINGS, f"status {status}: {where}\n{said}"
    if status in DONE and command in expected and not any(word in said.lower() for word in SAID):
        found = {name: _digest(world / name) for name in command.figures}
        if found != expected[command]:
            # Another dataset, or a longer run, gives other figures rightly.
            if any(
                word in where for word in ("prepare ended with 0", "run ended with 0", "killed prepare", "killed run")
            ):
                return
            raise AssertionError(f"other figures without a word: {where}\n{said}")


def _disturb(world: Path, chance: random.Random, story: list[str], work: Path, fork: Fork) -> None:
    if chance.random() < 0.4:
        command, number = chance.choice(COMMANDS), chance.choice((signal.SIGKILL, signal.SIGTERM))
        before = _users_files(world)
        status, said = _run(command, world, work, fork, stop=(number, chance.uniform(0, 6)))
        assert _users_files(world) == before, f"a file of the user's is another one: {story}, killed {command}\n{said}"
        assert "Traceback" not in said, f"a traceback: {story}, killed {command}\n{said}"
        assert status in {*ENDINGS, -signal.SIGKILL, -signal.SIGTERM}, f"{status}: {story}, killed {command}\n{said}"
        story.append(f"killed {command.module} with {number.name}: {status}")
        return
    ours = [
        path
        for folder in ("data/synthetic", "data/other", "runs/a", "runs/b", "runs/sweep")
        for path in sorted((world / folder).rglob("*"))
        if path.is_file() and not path.read_bytes().startswith(START)
    ]
    path = chance.choice(ours)
    kind = chance.choice(tuple(DAMAGE))
    DAMAGE[kind](path, chance, world)
    story.append(f"{kind} {path.relative_to(world)}")


def _flip(path: Path, chance: random.Random, _: Path) -> None:
    content = bytearray(path.read_bytes() or b"x")
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def _cut(path: Path, chance: random.Random, _: Path) -> None:
    os.truncate(path, chance.randrange(path.stat().st_size + 1))


def _swap(path: Path, chance: random.Random, world: Path) -> None:
    """With the same file of the other run, where there is one."""
    text = str(path.relative_to(world))
    other = world / (text.replace("runs/a", "runs/b") if "runs/a" in text else text.replace("runs/b", "runs/a"))
    if other != path and other.is_file():
        shutil.copyfile(other, path)


def _json(path: Path, chance: random.Random, _: Path) -> None:
    path.write_text(chance.choice(("[]", "{}", "3", '{"schema": 2}', "null")))


def _link(path: Path, _: random.Random, world: Path) -> None:
    path.unlink()
    path.symlink_to(world / "runs" / "notes.txt")


DAMAGE: dict[str, Callable[[Path, random.Random, Path], None]] = {
    "flipped a bit of": _flip,
    "cut": _cut,
    "swapped": _swap,
    "removed": lambda path, *_: path.unlink(),
    "emptied": lambda path, *_: path.write_text("") and None,
    "wrote JSON over": _json,
    "wrote noise over": lambda path, chance, _: path.write_bytes(chance.randbytes(300)) and None,
    "linked to the user's file": _link,
}


def _run(
    command: Command,
    world: Path,
    work: Path,
    fork: Fork,
    *,
    stop: tuple[signal.Signals, float] | None = None,
) -> tuple[int, str]:
    """Runs a command, or stops it after a while; gives its exit status and what it printed."""
    log = work / "said.log"
    child = fork(f"experiments.{command.module}", [flag.format(w=world) for flag in command.flags], log)
    began = time.monotonic()
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(status), log.read_text(errors="replace")
        if stop is not None and time.monotonic() - began > stop[1]:
            os.kill(child, stop[0])
            stop = (signal.SIGKILL, 60) if stop[0] == signal.SIGTERM else None
        time.sleep(0.01)


def _users_files(world: Path) -> dict[str, str]:
    found = {}
    for path in sorted(world.rglob("*")):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            if content.startswith(START) or "photos" in path.parts:
                found[str(path.relative_to(world))] = hashlib.sha256(content).hexdigest()
    return found


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "missing"
