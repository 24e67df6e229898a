"""Compares models scored on the same images: paired differences with intervals.

python -m experiments.compare --predictions=A.csv,B.csv --validation=VA.csv,VB.csv --out=DIR
"""

from pathlib import Path

from absl import flags

from experiments import cli
from mole_jax.errors import UserError
from mole_jax.memory import keep_freed_memory

FLAGS = flags.FLAGS


def command() -> None:
    """Reads the files, prints the differences, writes DIR/comparison.json."""
    keep_freed_memory()  # the bootstrap fills tables of one size again and again
    from mole_jax.evaluation.comparison import compare
    from mole_jax.evaluation.comparison_table import format_comparison
    from mole_jax.evaluation.operating_points import choose_operating_points, given_threshold, main_point
    from mole_jax.evaluation.predictions import read_predictions
    from mole_jax.evaluation.summary import write_metrics

    names = model_names(FLAGS.predictions)
    if FLAGS.validation and FLAGS.threshold is not None:
        raise UserError("--validation and --threshold both say where thresholds come from; give one of them")
    if FLAGS.validation and len(FLAGS.validation) != len(names):
        raise UserError(
            f"--validation names {len(FLAGS.validation)} files but --predictions {len(names)}; give one each, in order"
        )
    points = None
    if FLAGS.validation:
        points = {}
        for name, path in zip(names, FLAGS.validation, strict=True):
            chosen = main_point(choose_operating_points(read_predictions(path)))
            assert chosen is not None  # best accuracy always has a threshold
            points[name] = chosen
    elif FLAGS.threshold is not None:
        points = dict.fromkeys(names, given_threshold(FLAGS.threshold))
    models = {name: read_predictions(path) for name, path in zip(names, FLAGS.predictions, strict=True)}
    comparison = compare(models, points, resamples=FLAGS.resamples, seed=FLAGS.seed)
    print(format_comparison(comparison))
    if FLAGS.out:
        folder = Path(FLAGS.out)
        folder.mkdir(parents=True, exist_ok=True)
        write_metrics(folder / "comparison.json", comparison)
        print(f"\nwritten: {folder / 'comparison.json'}")


def model_names(paths: list[str]) -> list[str]:
    """A name for each file: the shortest end of its path, without the suffix, that tells it from the others.

    Raises:
        UserError: a file is named twice.
    """
    if len(set(paths)) < len(paths):
        raise UserError(f"--predictions={','.join(paths)} names a file twice; give different files")
    parts = [Path(path).absolute().with_suffix("").parts for path in paths]
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return paths


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_list("predictions", None, "two or more CSVs over the same images", required=True)
    flags.DEFINE_list("validation", [], "each model's validation CSV, in the same order: its threshold comes from it")
    flags.DEFINE_float("threshold", None, "one threshold for all models, in [0, 1]")
    flags.DEFINE_integer("resamples", 2000, "of the paired cluster bootstrap", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "of the paired cluster bootstrap", lower_bound=0)
    flags.DEFINE_string("out", None, "folder for comparison.json; none: the table alone")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__)
