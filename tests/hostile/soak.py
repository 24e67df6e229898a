"""Kills a command with SIGKILL at random moments, gives it again, and compares what it leaves with an unbroken run.

    python tests/hostile/soak.py --victim=prepare --kills=50 --seed=0
    python tests/hostile/soak.py --mixed --minutes=60

The victims: `prepare` (images to shards), `train` (logistic regression with many checkpoints, to the report), `seeds`
(two of these and their ensemble) and `features` (the stored features of a small frozen network). Prints a line for each
trial: one to three kills, then the same command to its end. Exit status 1 if a trial left other bytes, or anything
beside them.
"""

import argparse
import hashlib
import importlib
import json
import os
import random
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mixed_soak import mixed
from PIL import Image

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))
LARGEST_CHAIN = 3
TRAINING = (
    "jax",
    "flax",
    "optax",
    "orbax.checkpoint",
    "grain",
    "tensorflow_datasets",
    "sklearn.metrics",
    "tensorboardX",
)


@dataclass(frozen=True)
class Victim:
    """A command to kill.

    Attributes:
        libraries: modules that the command imports, loaded once beforehand.
        run: where it may write -> runs it; called in a process of its own.
        begun: where it writes -> whether it has begun its work.
        result: where it has written -> name -> what must be the same again.
        stage: where it has written -> what it was at, for the record.
    """

    libraries: tuple[str, ...]
    run: Callable[[Path], None]
    begun: Callable[[Path], bool]
    result: Callable[[Path], dict[str, object]]
    stage: Callable[[Path], str]


def soak(name: str, *, kills: int, seed: int, work: Path) -> Counter[str]:
    """Kills the victim so many times.

    Returns:
        how often it was killed at which stage.

    Raises:
        AssertionError: the outcome is not that of the unbroken run.
    """
    chance = random.Random(seed)
    victim = VICTIMS[name](work)
    for library in victim.libraries:
        importlib.import_module(library)
    whole = work / "whole"
    seconds = _run(victim, whole, kill_after=None)
    assert seconds is not None, "it was not killed"
    expected = victim.result(whole)
    print(f"{name}: the unbroken run works {seconds:.1f} s and leaves {len(expected)} things to compare", flush=True)
    stages: Counter[str] = Counter()
    trial = 0
    while stages.total() < kills:
        trial, where, here = trial + 1, work / f"trial{trial}", []
        for _ in range(min(chance.randint(1, LARGEST_CHAIN), kills - stages.total())):
            if _run(victim, where, kill_after=chance.uniform(0, seconds)) is None:
                here.append(victim.stage(where))
        _run(victim, where, kill_after=None)
        found = victim.result(where)
        different = [key for key in expected.keys() | found.keys() if expected.get(key) != found.get(key)]
        verdict = "DIFFERENT" if different else "the same bytes"
        print(f"trial {trial}: killed {', '.join(here) or 'too late'}: {verdict}", flush=True)
        assert not different, f"{where}: {different[:5]}"
        stages.update(here)
        shutil.rmtree(where)
    return stages


def _run(victim: Victim, where: Path, *, kill_after: float | None) -> float | None:
    """Runs the command to its end (gives the seconds from its beginning to work) or kills it (gives None)."""
    where.mkdir(exist_ok=True)
    child = _fork(victim.run, where)
    began = None
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if began is None and (ended or victim.begun(where)):
            began = time.monotonic()
        if ended:
            break
        if began is not None and kill_after is not None and time.monotonic() - began > kill_after:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(0.005)
    assert status == 0, f"{where}: {status}\n{where.with_suffix('.log').read_text()[-2000:]}"
    return time.monotonic() - began


def _fork(run: Callable[[Path], None], where: Path) -> int:
    """A process that has imported the libraries already: most of a short command's time would go there."""
    if child := os.fork():
        return child
    status = 1
    with where.with_suffix(".log").open("w") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
        try:
            run(where)
            status = 0
        except SystemExit as stop:
            status = int(stop.code or 0)
        except BaseException:
            traceback.print_exc()
        finally:
            # As at the end of any program: workers that are just starting are waited for.
            threading._shutdown()  # type: ignore[attr-defined]
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(status)


def _command(module: str, *flags: str) -> None:
    sys.argv = [module, *flags]
    runpy.run_module(module, run_name="__main__")


def _hashes(folder: Path, pattern: str = "*") -> dict[str, object]:
    files = (path for path in sorted(folder.rglob(pattern)) if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def _prepare(work: Path) -> Victim:
    source = work / "source"
    for i in range(400):
        folder = source / ("Melanoma", "NotMelanoma")[i % 2]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.random.default_rng(i).integers(0, 256, (90, 120, 3), np.uint8)).save(folder / f"{i}.png")

    def stage(where: Path) -> str:
        folder = where / "x" / ".1.0.0.incomplete"
        if not folder.exists():
            return "after publishing" if (where / "x" / "1.0.0").exists() else "before decoding"
        names = [path.name for path in folder.iterdir()]
        if any("array_record" in name for name in names):
            return "writing shards" if any("scratch" in name for name in names) else "describing"
        return "decoding"

    flags = ["--dataset=x", f"--source={source}", "--workers=2"]
    return Victim(
        libraries=("mole_jax.data.prepare.prepare", "tensorflow_datasets", "array_record.python.array_record_module"),
        run=lambda where: _command("experiments.prepare", *flags, f"--data_dir={where}"),
        begun=lambda where: (where / "x" / ".lock").exists(),
        result=_hashes,
        stage=stage,
    )


def _synthetic(work: Path) -> Path:
    command = [sys.executable, "-m", "experiments.prepare", "--dataset=synthetic", "--examples=60"]
    subprocess.run([*command, f"--data_dir={work / 'data'}"], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)
    return work / "data"


def _train(work: Path) -> Victim:
    data = _synthetic(work)
    flags = ["--model=logistic", "--learning_rate=0.001", "--batch_size=6", "--epochs=8", "--checkpoint_every=4"]

    def result(where: Path) -> dict[str, object]:
        run = where / "run"
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        kept: dict[str, object] = {
            "log": [{k: v for k, v in row.items() if not k.startswith("seconds")} for row in rows]
        }
        steps = sorted(path.name for path in (run / "checkpoints").iterdir() if path.is_dir())
        assert (run / "report.html").stat().st_size
        return {**_hashes(run, "predictions/*.csv"), **_hashes(run, "metrics.json"), **kept, "checkpoints": steps}

    def stage(where: Path) -> str:
        checkpoints = where / "run" / "checkpoints"
        names = [path.name for path in checkpoints.iterdir()] if checkpoints.exists() else []
        if any("tmp" in name for name in names):
            return "saving"
        if (where / "run" / "predictions").exists():
            return "evaluating"
        return "training" if names else "starting"

    return Victim(
        libraries=(*TRAINING, "mole_jax.training.loop", "mole_jax.evaluation.summary", "mole_jax.report.page"),
        run=lambda where: _command("experiments.run", *flags, f"--data_dir={data}", f"--run_dir={where / 'run'}"),
        begun=lambda where: (where / "run" / "config.json").exists(),
        result=result,
        stage=stage,
    )


def _seeds(work: Path) -> Victim:
    data = _synthetic(work)
    flags = ["--model=logistic", "--learning_rate=0.001", "--batch_size=6", "--epochs=4", "--checkpoint_every=4"]

    def result(where: Path) -> dict[str, object]:
        run = where / "run"
        assert (run / "report.html").stat().st_size
        return {**_hashes(run, "**/predictions/*.csv"), **_hashes(run, "**/metrics.json")}

    def stage(where: Path) -> str:
        seeds = where / "run" / "seeds"
        ready = len(list(seeds.glob("*/metrics.json")))
        begun = len(list(seeds.glob("*/config.json")))
        return "with both seeds" if ready == 2 else "at the second seed" if begun == 2 else "at the first seed"

    return Victim(
        libraries=(*TRAINING, "mole_jax.training.loop", "mole_jax.evaluation.summary", "mole_jax.report.page"),
        run=lambda where: _command(
            "experiments.run", *flags, "--seeds=2", f"--data_dir={data}", f"--run_dir={where / 'run'}"
        ),
        begun=lambda where: any((where / "run" / "seeds").glob("*/config.json")),
        result=result,
        stage=stage,
    )


def _features(work: Path) -> Victim:
    data = _synthetic(work)

    def run(where: Path) -> None:
        shutil.copytree(data, where, dirs_exist_ok=True)
        store_features(where)

    def features(where: Path) -> Path:
        return where / "_features"

    def stage(where: Path) -> str:
        if any(features(where).glob("*/*/.*.incomplete")):
            return "writing a block"
        pooled, maps = (len(list(features(where).glob(f"*/{level}/0*"))) for level in ("pooled", "maps"))
        return "between a block's levels" if pooled > maps else "computing" if maps else "starting"

    return Victim(
        libraries=(*TRAINING, "mole_jax.training.feature_store"),
        run=run,
        begun=lambda where: any(features(where).glob("*/.lock")),
        result=lambda where: _hashes(features(where)),
        stage=stage,
    )


def store_features(data: Path) -> None:
    """What the victim `features` does; no command has so small a network."""
    from mole_jax.backbones.load import load_pretrained
    from mole_jax.backbones.resnet import ResNetConfig
    from mole_jax.classifier.network import Frozen
    from mole_jax.data.dataset import load_dataset
    from mole_jax.inputs.normalize import Inputs
    from mole_jax.training import feature_store

    feature_store.BLOCK = 16
    network = load_pretrained("random", architecture=ResNetConfig(stage_sizes=(3, 3), width=16))
    frozen = Frozen(network, Inputs("torchvision"), "maps", "float32")
    feature_store.FeatureStore(data, frozen).sources(load_dataset(data, "synthetic"))


VICTIMS: dict[str, Callable[[Path], Victim]] = {
    "prepare": _prepare,
    "train": _train,
    "seeds": _seeds,
    "features": _features,
}


def main() -> None:
    """Reads the arguments, kills, and says how often at which stage."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--victim", choices=VICTIMS)
    which.add_argument("--mixed", action="store_true", help="random damage, kills and reruns of every command")
    parser.add_argument("--minutes", type=float, default=60, help="of --mixed")
    parser.add_argument("--rounds", type=int, help="of --mixed, at most; default: as many as the minutes allow")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    os.environ["JAX_PLATFORMS"] = "cpu"
    os.chdir(ROOT)
    with tempfile.TemporaryDirectory() as work:
        if arguments.mixed:
            for library in (*TRAINING, "mole_jax.training.loop", "mole_jax.evaluation.summary", "mole_jax.report.page"):
                importlib.import_module(library)
            happened = mixed(
                minutes=arguments.minutes,
                rounds=arguments.rounds,
                seed=arguments.seed,
                work=Path(work),
                fork=lambda module, flags, log: _fork(lambda _: _command(module, *flags), log.with_suffix("")),
                tell=lambda line: print(line, flush=True),
            )
            print(f"mixed: {happened.total()} commands, nothing lost, nothing wrong without a word: {dict(happened)}")
            return
        stages = soak(arguments.victim, kills=arguments.kills, seed=arguments.seed, work=Path(work))
    print(f"{arguments.victim}: {stages.total()} kills, the same bytes after each: {dict(stages)}", flush=True)


if __name__ == "__main__":
    main()
