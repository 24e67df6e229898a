"""Many configurations side by side, and the one to choose.

    python -m experiments.sweep --model=logistic --dataset=ham10000 \\
        --grid="learning_rate=1,0.1,0.01,0.001,0.0001 batch_size=20,100,200,500"
    python -m experiments.sweep --model=cnn --tpe=40 --executor=slurm --slurm="--gres=gpu:1" --grid="..."
    python -m experiments.sweep --model=transfer --recipe=tuned --random=20 --seeds=3 \\
        --grid="learning_rate=log(1e-4,1e-1) dropout=uniform(0,0.6) head=linear,pooled"

The other flags are those of experiments.run and hold for every trial. The same command again skips what is finished
and goes on with the rest; a larger --random or --seeds adds to what is there. A trial whose loss is not finite, or that
fails, is recorded and stops nothing. One is chosen by its AUROC on validation; test images are looked at for that one
alone. Exit status 1: some trials have failed; 75: stopped by SIGTERM or Ctrl-C with everything saved.
"""

import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from absl import flags

from experiments import cli
from experiments.flagged import configured, defaults_for, define_run_flags
from mole_jax.errors import TRY_AGAIN, UserError
from mole_jax.executors.base import Executor
from mole_jax.files.writing import write_text
from mole_jax.sweeps.directory import BEST, TRIALS, trial_dir
from mole_jax.sweeps.trials import Trial

define_run_flags()
FLAGS = flags.FLAGS
FAR = 100  # trials at once on machines that are not this one, which hold back those for which there is no room
flags.DEFINE_string("grid", None, "fields and their values or ranges: 'learning_rate=log(1e-4,1e-1) batch_size=32,64'")
flags.DEFINE_integer("random", 0, "draw so many configurations from --grid, in place of all combinations", 0, 100_000)
flags.DEFINE_integer("tpe", 0, "search --grid's space with so many trials, each learning from those before", 0, 100_000)
flags.DEFINE_bool("prune", True, "with --tpe: stop trials that are worse, at an epoch, than the median of the others")
flags.DEFINE_integer("seeds", 1, "trials of each configuration, one a seed, from --seed on", 1, 1000)
flags.DEFINE_enum("executor", "local", ["local", "ray", "slurm"], "where trials run; local: processes on this machine")
flags.DEFINE_string("address", "", "ray: of the cluster, auto, HOST:PORT or ray://HOST:PORT; empty: this machine alone")
flags.DEFINE_string("resources", "cpu=1", "ray: of one trial, such as cpu=4,gpu=1 or cpu=4,TPU=4")
flags.DEFINE_string("slurm", "", "slurm: options of sbatch, such as '--partition=gpu --gres=gpu:1 --time=2:00:00'")
flags.DEFINE_integer(
    "max_parallel", 0, "trials at once; 0: local: one for each accelerator, on a CPU one; else 100", 0, 10_000
)
flags.DEFINE_integer("retries", 1, "how often a trial starts again that was killed or has a fault", 0, 1000)
flags.DEFINE_bool("retrain_best", False, "then train the chosen configuration as a run of its own, with its page")


def command() -> int:
    """Runs the sweep, prints its table."""
    from mole_jax.report.sweep.sweep_page import write_sweep_page
    from mole_jax.sweeps.space import parse_space, sweep_name
    from mole_jax.sweeps.sweep import How, Plan, sweep
    from mole_jax.sweeps.text import chosen_lines, table

    space = parse_space(FLAGS.grid or "")
    if FLAGS.random and FLAGS.tpe:
        raise UserError("--random and --tpe are two ways through --grid: give one of them")
    how: How = "random" if FLAGS.random else "tpe" if FLAGS.tpe else "grid"
    plan = Plan(space, how, configured, count=FLAGS.random or FLAGS.tpe, seeds=FLAGS.seeds, prune=FLAGS.prune)
    config = configured()
    directory = Path(config.run_dir or f"runs/{sweep_name(config, space, plan.how)}")
    executor, parallel = _executor()
    print(f"{config.model} on {config.dataset}, {', '.join(space)} varied; sweep directory {directory}", flush=True)
    try:
        result = sweep(
            plan,
            directory,
            executor=executor,
            commands=_command,
            parallel=parallel,
            retries=FLAGS.retries,
            tell=lambda line: print(line, flush=True),
        )
    except KeyboardInterrupt:
        print("stopped; the trials under way are saved, and the same command goes on from here", file=sys.stderr)
        return TRY_AGAIN
    page = write_sweep_page(directory, command=_best(directory))
    print("\n".join(["", *table(result), "", *chosen_lines(result)]))
    if result.chosen is not None:
        print(f"train it as a run of its own: {_best(directory)}")
    print(f"page in {page}; sweep.json, sweep.csv and trials/ beside it\n{cli.NOT_A_DEVICE}")
    if FLAGS.retrain_best and result.chosen is not None:
        return _retrain(directory)
    failed = sum(row.state == "failed" for row in result.rows)
    if failed:
        print(f"{failed} of {len(result.rows)} configurations have failed", file=sys.stderr)
    return 1 if failed else 0


def _executor() -> tuple[Executor, int]:
    """Where trials run, and how many at once."""
    if FLAGS.executor == "ray":
        from mole_jax.executors.on_ray import RayExecutor, parse_resources

        return RayExecutor(FLAGS.address, parse_resources(FLAGS.resources)), FLAGS.max_parallel or FAR
    if FLAGS.executor == "slurm":
        from mole_jax.executors.on_slurm import SlurmExecutor

        return SlurmExecutor(shlex.split(FLAGS.slurm), sys.executable), FLAGS.max_parallel or FAR
    from mole_jax.executors.devices import count_accelerators, shares
    from mole_jax.executors.local import LocalExecutor

    kind, devices = count_accelerators()
    parallel = FLAGS.max_parallel or max(1, devices)
    return LocalExecutor(shares(parallel, kind, devices)), parallel


def _command(directory: Path, trials: Sequence[Trial]) -> tuple[str, ...]:
    """What Python is started with to do these trials."""
    configs = [directory / TRIALS / f"{trial.name}.json" for trial in trials]
    if len(trials) == 1:
        run_dir = trial_dir(directory, trials[0].name)
        return "-m", "experiments.run", f"--config={configs[0]}", f"--run_dir={run_dir}", "--noreport"
    listed = configs[0].with_suffix(".list")  # a command line has room for a few hundred
    write_text(listed, "".join(f"{config}\n" for config in configs))
    return "-m", "experiments.stack", f"--configs={listed}"


def _best(directory: Path) -> str:
    return f"python -m experiments.run --config={directory / BEST}"


def _retrain(directory: Path) -> int:
    """Trains the chosen configuration as a run of its own; gives its exit status."""
    print(f"training the chosen configuration: {_best(directory)}", flush=True)
    return subprocess.call([sys.executable, "-m", "experiments.run", f"--config={directory / BEST}"])


if __name__ == "__main__":
    cli.main(command, description=__doc__ or "", defaults=defaults_for, goes_on=True)
