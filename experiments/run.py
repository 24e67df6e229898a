"""One experiment: train a model, evaluate it on every split, print the paper's table and write a report.

    python -m experiments.run --model=cnn --dataset=synthetic
    python -m experiments.run --config=runs/NAME/config.json

A flag that is not given takes the recipe of its model (--recipe=paper: the paper's settings), else its default below.
The same command again goes on where it stopped. Exit status 75: stopped by SIGTERM or Ctrl-C with everything saved, run
it again.
"""

from functools import partial

from absl import flags

from experiments import cli
from experiments.flagged import configured, defaults_for, define_run_flags, recipe_lines, recipe_seeds
from experiments.paths import given_path
from experiments.photographs import warn_of_photographs
from experiments.training import trained_or_status
from mole_jax import xla
from mole_jax.errors import UserError
from mole_jax.studies.recipes import KEEPS_MEMORY

define_run_flags()
SEEDS = flags.DEFINE_integer(
    "seeds", None, "runs that differ in their seed alone, and their ensemble; default: the recipe's, else 1", 1
)
REPORT = flags.DEFINE_bool("report", True, "write the page")
COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "HOST:PORT of the first of several processes that train one run; auto: as Slurm, Kubernetes or a TPU says",
)
PROCESSES = flags.DEFINE_integer("processes", None, "how many processes, with --coordinator=HOST:PORT", 1)
PROCESS_ID = flags.DEFINE_integer("process_id", None, "which of them this is, from 0", 0)
PREVIEW = flags.DEFINE_string(
    "preview", None, "a picture to write: training images as --augment changes them; nothing is trained"
)


def command() -> int:
    """Runs the experiment."""
    config = configured()
    seeds = SEEDS.value or recipe_seeds(config.model)
    _refuse_half()
    xla.configure(keep_memory=config.model in KEEPS_MEMORY)
    if PREVIEW.value is not None:
        from mole_jax.studies.preview import preview

        preview(config, given_path(PREVIEW.value))
        print(f"{PREVIEW.value}: in each row an image, then what the first steps make of it (augment={config.augment})")
        return 0
    from mole_jax.processes import is_first, join, leaving_together
    from mole_jax.studies.experiment import Outcome, run_experiment
    from mole_jax.studies.repeated import Repeated, run_repeated
    from mole_jax.training.epoch_metrics import NonFinite
    from mole_jax.training.loop import Interrupted

    if COORDINATOR.value:
        join(COORDINATOR.value, PROCESSES.value, PROCESS_ID.value)
    run = partial(run_repeated, seeds=seeds) if seeds > 1 else run_experiment

    def train() -> Outcome | Repeated:
        with leaving_together(expected=(Interrupted, NonFinite)):
            return run(config, report=REPORT.value, on_ready=lambda line: print(line, flush=True))

    outcome = trained_or_status(train)
    if isinstance(outcome, int):
        return outcome
    if not is_first():
        return 0
    from mole_jax.evaluation.table import format_table

    run_dir, page = outcome.run_dir, outcome.report
    if isinstance(outcome, Outcome):
        print(f"{time_line(outcome.timing)}\n")
    print(f"{format_table(outcome.metrics)}\n")
    kept = [name for name in ("classifier", "checkpoints", "seeds") if (run_dir / name).is_dir()]
    print(f"results in {run_dir}: metrics.json, predictions/, {', '.join(f'{name}/' for name in kept)}")
    if page is not None:
        print(f"report in {page}")
        warn_of_photographs(page)
    print(
        f"score photographs: python -m experiments.predict --run={run_dir} --images=FOLDER --out=predictions.csv\n"
        f"on other images:   python -m experiments.evaluate --run={run_dir} --dataset=OTHER\n{cli.NOT_A_DEVICE}"
    )
    return 0


def _refuse_half() -> None:
    """Refuses --processes and --process_id that nothing would read."""
    if not COORDINATOR.value and not (PROCESSES.value is PROCESS_ID.value is None):
        raise UserError("--processes and --process_id need --coordinator=HOST:PORT, the address of the first process")


def time_line(timing: dict[str, float]) -> str:
    """Where the time of this start went, from timing.json."""
    parts = [(name.removeprefix("seconds_"), value) for name, value in timing.items() if name.startswith("seconds_")]
    parts.sort(key=lambda part: -part[1])
    return f"{timing['goodput']:.0%} of the time in steps: " + ", ".join(
        f"{name} {value:.1f} s" for name, value in parts
    )


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "", defaults=defaults_for, more_help=recipe_lines, goes_on=True)
