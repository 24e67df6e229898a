"""The whole paper: every model on every protocol, and one page that puts them beside the paper's numbers.

    python -m experiments.reproduce --dataset=ham10000 --source=DIR --scale=short --weights=FILE

Datasets that are missing are prepared (--source; drawn lesions need none). Each run is an `experiments.run` of its own;
finished ones are skipped, interrupted ones go on. A plan with rough hours comes first. The same command again goes on
where it stopped and writes the page anew; runs that are missing are shown as missing.
"""

import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType

from absl import flags

from experiments import cli
from mole_jax.data.facts import DatasetFacts, read_facts
from mole_jax.data.manifest import read_manifest
from mole_jax.data.prepare.prepare import prepare
from mole_jax.data.prepare.protocols import PROTOCOLS
from mole_jax.data.versions import dataset_directory
from mole_jax.errors import TRY_AGAIN, UserError
from mole_jax.studies.recipes import RECIPES
from mole_jax.studies.reproduction import (
    SCALES,
    PlannedRun,
    dataset_name,
    describe_plan,
    estimate,
    plan_runs,
    state_of,
)

SMOKE_EXAMPLES = 60

DATASET = flags.DEFINE_string("dataset", "synthetic", "NAME; a protocol's dataset is NAME_<protocol>, grouped's NAME")
SOURCE = flags.DEFINE_string("source", None, "the folder of images, for datasets that are not prepared yet")
_KNOWN = [name for name in PROTOCOLS if name != "given"]
PROTOCOL_NAMES = flags.DEFINE_list(
    "protocols", ["paper", "paper_by_lesion", "paper_clean", "grouped"], f"of {', '.join(_KNOWN)}"
)
_MODELS = [model for model in RECIPES["paper"] if any(each.model == model for of in SCALES.values() for each in of)]
MODEL_NAMES = flags.DEFINE_list("models", _MODELS, f"of {', '.join(_MODELS)}")
SCALE = flags.DEFINE_enum(
    "scale", "short", list(SCALES), "smoke: a test; short: all images, few epochs; full: the paper's epochs"
)
WEIGHTS = flags.DEFINE_string("weights", None, "ResNet50's: auto (downloaded), random or a file; default: auto")
DATA_DIR = flags.DEFINE_string("data_dir", "data", "where prepared datasets lie")
RUNS_DIR = flags.DEFINE_string("runs_dir", "runs", "where run directories lie")
OUT = flags.DEFINE_string("out", None, "folder of the page; default: RUNS_DIR/reproduction-<dataset>-<scale>")
PLAN = flags.DEFINE_bool("plan", False, "print the plan and stop")
REPORT_ONLY = flags.DEFINE_bool("report_only", False, "start nothing: write the page from the runs that are there")


def command() -> int:
    """Plans, prepares, runs and reports."""
    for name, given, known in (("protocols", PROTOCOL_NAMES.value, _KNOWN), ("models", MODEL_NAMES.value, _MODELS)):
        for value in given:
            if value not in known:
                raise UserError(f"--{name}={value} is not one of {', '.join(known)}")
    data_dir, runs_dir = Path(DATA_DIR.value).expanduser(), Path(RUNS_DIR.value).expanduser()
    runs = plan_runs(
        DATASET.value,
        scale=SCALE.value,
        protocols=PROTOCOL_NAMES.value,
        models=MODEL_NAMES.value,
        weights=WEIGHTS.value,
        data_dir=data_dir,
        runs_dir=runs_dir,
    )
    if not runs:
        raise UserError("no runs are planned; give --protocols and --models")
    start = not (PLAN.value or REPORT_ONLY.value)
    facts = {protocol: _dataset(protocol, data_dir, make=start) for protocol in PROTOCOL_NAMES.value}
    _print_plan(runs, facts, data_dir)
    if PLAN.value:
        return 0
    out = Path(OUT.value).expanduser() if OUT.value else runs_dir / f"reproduction-{DATASET.value}-{SCALE.value}"
    failed: dict[Path, str] = {}
    status = _run_all(runs, facts, failed, out / "logs") if start else 0
    _report(runs, facts, failed, out)
    return status


def _dataset(protocol: str, data_dir: Path, *, make: bool) -> DatasetFacts | None:
    """The facts of a protocol's dataset, prepared first where it is missing; None where it may not be prepared."""
    name = dataset_name(DATASET.value, protocol)
    try:
        facts = read_facts(dataset_directory(data_dir, name))
    except UserError:
        if not make:
            return None
        synthetic = DATASET.value == "synthetic"
        facts = prepare(
            name,
            Path(SOURCE.value).expanduser() if SOURCE.value else None,
            layout="synthetic" if synthetic else "auto",
            protocol=protocol,
            examples=SMOKE_EXAMPLES if synthetic and SCALE.value == "smoke" else 0,
            data_dir=data_dir,
        ).facts
        print(f"prepared {name}: {facts.images:,} images, protocol {protocol}", flush=True)
    if facts.protocol != protocol:
        raise UserError(
            f"dataset {name!r} was prepared with protocol {facts.protocol}, not {protocol}; prepare it again "
            f"(--overwrite --protocol={protocol}), or give --protocols without {protocol}"
        )
    return facts


def _print_plan(runs: list[PlannedRun], facts: dict[str, DatasetFacts | None], data_dir: Path) -> None:
    states = [state_of(run, facts[run.protocol]) for run in runs]
    seconds: list[float | None] = []
    passed: set[str] = set()
    for run, state in zip(runs, states, strict=True):
        of_run = facts[run.protocol]
        if of_run is None:
            seconds.append(None)
            continue
        unseen: set[str] = set()
        if run.stores_features:
            directory = dataset_directory(data_dir, run.config.dataset)
            unseen = {row.image_id for row in read_manifest(directory)} - passed
            passed |= unseen
        seconds.append(0.0 if state == "done" else estimate(run, of_run, unseen=len(unseen)))
    print(
        "\n".join(
            [f"{SCALE.value} reproduction of the paper on {DATASET.value}:", *describe_plan(runs, states, seconds)]
        )
    )
    sys.stdout.flush()


def _run_all(runs: list[PlannedRun], facts: dict[str, DatasetFacts | None], failed: dict[Path, str], logs: Path) -> int:
    """Starts the runs that are not done, one after the other; gives the exit status of the whole."""
    logs.mkdir(parents=True, exist_ok=True)
    for run in runs:
        if state_of(run, facts[run.protocol]) == "done":
            continue
        log = logs / f"{run.run_dir.name}.log"
        print(f"{run.variant.label} on {run.config.dataset}: {run.run_dir}, output in {log}", flush=True)
        began = time.monotonic()
        status = _run(run.program, run.flags, log)
        if not status:
            print(f"  done in {(time.monotonic() - began) / 60:.1f} min", flush=True)
        if status == TRY_AGAIN:
            print("stopped; the same command goes on from here", file=sys.stderr)
            return status
        if status:
            failed[run.run_dir] = f"it failed with exit status {status}: see {log}"
            print(f"  failed with exit status {status}; going on with the next", file=sys.stderr, flush=True)
    return 1 if failed else 0


def _run(program: str, arguments: list[str], log: Path) -> int:
    """Runs one command of `experiments`; gives its exit status, or 75 after SIGTERM, which is passed on to it.

    Progress bars stay on the terminal.
    """
    received: list[int] = []
    children: list[subprocess.Popen[str]] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        for child in children:
            child.send_signal(number)

    command = [sys.executable, "-m", f"experiments.{program}", *arguments]
    before = signal.signal(signal.SIGTERM, pass_on)
    try:
        with log.open("w", encoding="utf-8") as output:
            errors = None if sys.stderr.isatty() else output
            children.append(subprocess.Popen(command, stdout=output, stderr=errors, text=True))
            if received:
                children[0].send_signal(signal.SIGTERM)
            try:
                status = children[0].wait()
            except KeyboardInterrupt:
                children[0].wait()  # the terminal has told it too
                raise
    finally:
        signal.signal(signal.SIGTERM, before)
    return TRY_AGAIN if received else status


def _report(runs: list[PlannedRun], facts: dict[str, DatasetFacts | None], failed: dict[Path, str], out: Path) -> None:
    from mole_jax.report.reproduction.reproduction import Attempt, read_comparison
    from mole_jax.report.reproduction.reproduction_page import write_comparison
    from mole_jax.report.reproduction.reproduction_texts import format_comparison

    attempts: dict[str, list[Attempt]] = {"run": [], "sweep": []}
    for run in runs:
        why = failed.get(run.run_dir, "not finished yet" if run.run_dir.exists() else "not run yet")
        missing = "" if state_of(run, facts[run.protocol]) == "done" else why
        attempt = Attempt(run.variant.model, run.variant.label, run.protocol, run.run_dir, missing)
        attempts[run.program].append(attempt)
    comparison = read_comparison(attempts["run"], grids=attempts["sweep"], dataset=DATASET.value, scale=SCALE.value)
    print(f"\n{format_comparison(comparison)}\n")
    print(f"page in {write_comparison(comparison, out)}, reproduction.json and reproduction.md beside it")


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "", goes_on=True)
