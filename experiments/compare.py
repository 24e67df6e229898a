"""Compares models scored on the same images: paired differences with intervals.

    python -m experiments.compare --predictions=A.csv,B.csv --validation=VA.csv,VB.csv --out=DIR
    python -m experiments.compare --runs=runs/A,runs/B --target_sensitivity=0.9

Without validation each model's threshold is cross-fitted, in the same folds for all.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags

from experiments import cli
from experiments.paths import given_paths
from experiments.prediction_files import define_file_flags, free_folder, read_file
from mole_jax.errors import UserError
from mole_jax.memory import keep_freed_memory

if TYPE_CHECKING:
    from mole_jax.evaluation.predictions import Predictions

FLAGS = flags.FLAGS


def command() -> None:
    """Reads the files, prints the differences, and with --out writes comparison.json and the page."""
    keep_freed_memory()  # the bootstrap fills tables of one size again and again
    from mole_jax.evaluation.comparison import compare
    from mole_jax.evaluation.comparison_table import format_comparison
    from mole_jax.evaluation.operating_points import (
        MAIN_SENSITIVITY,
        choose_operating_points,
        given_threshold,
        main_point,
    )
    from mole_jax.evaluation.same_images import align
    from mole_jax.evaluation.summary import write_metrics
    from mole_jax.files.sums import claim, refuse_foreign, seal

    folder = free_folder(FLAGS.out) if FLAGS.out else None
    if folder is not None:
        refuse_foreign(folder, "comparison", ["comparison.json"], otherwise="give another --out")
    tests, validations = files()
    if len(tests) < 2:
        raise UserError(f"{len(tests)} model cannot be compared; give two prediction files or more")
    if validations and FLAGS.threshold is not None and not FLAGS.runs:
        raise UserError("--validation and --threshold both say where thresholds come from; give one of them")
    if FLAGS.target_sensitivity is not None and FLAGS.threshold is not None:
        raise UserError("--target_sensitivity and --threshold both choose the threshold; give one of them")
    models = {name: judged(path, "test") for name, path in tests.items()}
    chosen_on: dict[str, Predictions] = {}
    points = None
    if FLAGS.threshold is not None:
        points = dict.fromkeys(models, given_threshold(FLAGS.threshold))
    elif validations:
        chosen_on = {name: judged(path, "validation") for name, path in validations.items()}
        target = MAIN_SENSITIVITY if FLAGS.target_sensitivity is None else FLAGS.target_sensitivity
        points = {}
        for name, validation in chosen_on.items():
            chosen = main_point(choose_operating_points(validation, (target,)))
            assert chosen is not None  # best accuracy always has a threshold
            points[name] = chosen
    comparison = compare(
        models, points, target_sensitivity=FLAGS.target_sensitivity, resamples=FLAGS.resamples, seed=FLAGS.seed
    )
    print(format_comparison(comparison))
    if folder is not None:
        claim(folder, "comparison", ["comparison.json"], otherwise="give another --out")
        write_metrics(folder / "comparison.json", comparison)
        seal(folder, "comparison")
        print(f"\nwritten: {folder / 'comparison.json'}")
        print(f"report in {page(folder, align(models)[0], chosen_on)}")


def files() -> tuple[dict[str, Path], dict[str, Path]]:
    """Each model's test file and, where all have one, its validation file, by the model's name.

    Raises:
        UserError: none or both of --runs and --predictions; a run without predictions; as many validation files as
            are not models; a file twice.
    """
    if bool(FLAGS.runs) == bool(FLAGS.predictions):
        raise UserError("give --predictions=A.csv,B.csv or --runs=runs/A,runs/B, and not both")
    if FLAGS.runs:
        if FLAGS.validation:
            raise UserError("--validation does not go with --runs, which have validation predictions of their own")
        return of_runs(given_paths("runs", FLAGS.runs))
    tests = given_paths("predictions", FLAGS.predictions)
    validations = given_paths("validation", FLAGS.validation)
    names = model_names([str(path) for path in tests])
    if validations and len(validations) != len(names):
        raise UserError(
            f"--validation names {len(validations)} files but --predictions {len(names)}; give one each, in order"
        )
    return dict(zip(names, tests, strict=True)), dict(zip(names, validations, strict=bool(validations)))


def of_runs(folders: list[Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """The files of runs, or of folders that `experiments.evaluate --out` has written.

    Raises:
        UserError: one of them has no test predictions.
    """
    from mole_jax.runs.directory import predictions_file

    tests, validations = dict[str, Path](), dict[str, Path]()
    for name, folder in zip(model_names([str(path) for path in folders], flag="runs"), folders, strict=True):
        test, validation = (predictions_file(folder, split) for split in ("test", "validation"))
        if not test.is_file():
            raise UserError(
                f"{folder} has no test predictions; give directories of finished runs, or folders that "
                "python -m experiments.evaluate --out has written"
            )
        tests[name] = test
        if validation.is_file():
            validations[name] = validation
    return tests, validations if len(validations) == len(tests) else {}


def judged(path: Path, split: str) -> "Predictions":
    """The rows of a file that are of a split, or all where it has no column that says."""
    from mole_jax.evaluation.splits import rows_of

    return rows_of(read_file(path), split)


def page(folder: Path, models: dict[str, "Predictions"], validations: dict[str, "Predictions"]) -> Path:
    """Judges each model by itself into a folder of its own, and writes one page over all."""
    from mole_jax.evaluation.folder import write_evaluation
    from mole_jax.evaluation.summary import evaluate
    from mole_jax.report.page import write_report

    folders = []
    for name, test in models.items():
        of_model = folder / "models" / name.replace("/", "-")
        splits: dict[str, Any] = {"test": test} | ({"validation": validations[name]} if name in validations else {})
        metrics = evaluate(
            test,
            validation=splits.get("validation"),
            threshold=FLAGS.threshold,
            target_sensitivity=None if FLAGS.target_sensitivity is None else (FLAGS.target_sensitivity,),
            resamples=FLAGS.resamples,
            seed=FLAGS.seed,
        )
        write_evaluation(of_model, splits, metrics, command=sys.argv)
        folders.append(of_model)
    return write_report(folders, folder / "report.html")


def model_names(paths: list[str], *, flag: str = "predictions") -> list[str]:
    """A name for each file or folder: the shortest end of its path that tells it from the others, without `.csv`.

    Raises:
        UserError: one is named twice.
    """
    if len(set(paths)) < len(paths):
        raise UserError(f"--{flag}={','.join(paths)} names a file twice; give different files")
    parts = [
        (path.with_suffix("") if flag == "predictions" else path).parts
        for path in (Path(text).absolute() for text in paths)
    ]
    while len({part[-1] for part in parts}) == 1 and all(len(part) > 2 for part in parts):
        parts = [part[:-1] for part in parts]  # all end alike, as runs/A/predictions/test.csv does
    for depth in range(1, max(map(len, parts)) + 1):
        names = ["/".join(part[-depth:]) for part in parts]
        if len(set(names)) == len(names):
            return names
    return paths


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_list("predictions", [], "two or more files over the same images; * stands for many")
    flags.DEFINE_list("runs", [], "instead: two or more runs, or folders of `evaluate --out`; * stands for many")
    flags.DEFINE_list("validation", [], "each model's validation file, in the same order: its threshold comes from it")
    flags.DEFINE_float("target_sensitivity", None, "what each model's own threshold is to reach; default 0.95")
    flags.DEFINE_float("threshold", None, "instead: one threshold for all models, in [0, 1]")
    define_file_flags()
    flags.DEFINE_integer("resamples", 2000, "of the paired cluster bootstrap", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "of the paired cluster bootstrap", lower_bound=0)
    flags.DEFINE_string("out", None, "folder for comparison.json and report.html; none: the table alone")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__)
