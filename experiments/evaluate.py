"""Numbers with intervals, from prediction files of any framework or from a trained run and another dataset.

    python -m experiments.evaluate --predictions=test.csv --validation=validation.csv --out=DIR
    python -m experiments.evaluate --predictions=test.csv --out=DIR
    python -m experiments.evaluate --run=runs/NAME --dataset=OTHER

The second chooses thresholds and calibration on the file itself, cross-fitted. The third is an external validation:
every image of a prepared dataset is scored by the run's best checkpoint and judged at the run's own thresholds and with
its own calibration, none of which is chosen anew. Images that the run has seen are refused. The results lie in
runs/NAME/external/OTHER, and the run's report gets a section about them.
"""

import sys
from typing import TYPE_CHECKING

from absl import flags

from experiments import cli
from experiments.paths import given_path
from experiments.prediction_files import SHARED, define_file_flags, free_folder, numbers, read_file
from mole_jax.errors import UserError
from mole_jax.memory import keep_freed_memory

if TYPE_CHECKING:
    from mole_jax.evaluation.predictions import Predictions

FLAGS = flags.FLAGS


# Flags that belong to one of the two forms; None or empty where they are not given.
OF_PREDICTIONS = (
    *("validation", "threshold", "target_sensitivity", "threshold_confidence"),
    *("intersections", "costs", "budgets", *SHARED),
)
OF_RUN = ("dataset", "data_dir", "split", "overlap")


def command() -> None:
    """Evaluates in the form that was asked for: from predictions, or a run on a dataset."""
    if bool(FLAGS.predictions) == bool(FLAGS.run):
        raise UserError("give --predictions=FILE, or --run=DIR with --dataset=NAME, and not both")
    form, others = ("--run", OF_PREDICTIONS) if FLAGS.run else ("--predictions", OF_RUN)
    if strange := [name for name in others if FLAGS[name].present]:
        why = "its thresholds are frozen" if FLAGS.run else "it is for --run"
        raise UserError(f"--{strange[0]} does not go with {form}: {why}; do not give it")
    if FLAGS.run:
        external_validation()
    else:
        from_predictions()


def external_validation() -> None:
    """Scores a dataset with a run, prints the table and renews the run's report."""
    if not FLAGS.dataset:
        raise UserError("--run needs --dataset=NAME, a prepared dataset; python -m experiments.prepare makes one")
    from mole_jax import xla

    xla.configure()
    from mole_jax.evaluation.table import format_table
    from mole_jax.report.page import write_report
    from mole_jax.studies.external import Request, validate

    run_dir = given_path(FLAGS.run)
    request = Request(
        run_dir=run_dir,
        dataset=FLAGS.dataset,
        data_dir=given_path(FLAGS.data_dir),
        split=FLAGS.split,
        overlap=FLAGS.overlap,
        out=given_path(FLAGS.out) if FLAGS.out else None,
        resamples=FLAGS.resamples,
        seed=FLAGS.seed,
    )
    folder, metrics = validate(request)
    print(f"external validation of {run_dir} on {FLAGS.dataset}; its images stand as Test\n\n{format_table(metrics)}\n")
    files = ("metrics.json", "predictions.csv", "calibrated_scores.csv", "excluded.csv")
    print(f"results in {folder}: {', '.join(name for name in files if (folder / name).is_file())}")
    if FLAGS.out:
        print("the run's report is as it was: without --out the results go into the run directory, and it has them")
    else:
        print(f"report in {write_report([run_dir], run_dir / 'report.html')}")


def from_predictions() -> None:
    """Reads the files, prints the table, and with --out writes a folder with metrics, scores and the page."""
    keep_freed_memory()  # the bootstrap fills tables of one size again and again
    from mole_jax.evaluation.summary import evaluate
    from mole_jax.evaluation.table import format_table

    folder = free_folder(FLAGS.out) if FLAGS.out else None
    splits = read_splits()
    metrics = evaluate(
        splits["test"],
        validation=splits.get("validation"),
        train=splits.get("train"),
        threshold=FLAGS.threshold,
        target_sensitivity=numbers("target_sensitivity", FLAGS.target_sensitivity, "0.9,0.95"),
        threshold_confidence=FLAGS.threshold_confidence,
        intersections=pairs_of_attributes(FLAGS.intersections),
        costs=costs(FLAGS.costs),
        budgets=[int(budget) for budget in numbers("budgets", FLAGS.budgets, "20,100") or ()],
        resamples=FLAGS.resamples,
        seed=FLAGS.seed,
    )
    print(format_table(metrics))
    if folder is None:
        return
    from mole_jax.evaluation.folder import CALIBRATED, METRICS, write_evaluation
    from mole_jax.report.page import write_report

    why_not = write_evaluation(folder, splits, metrics, command=sys.argv)
    print(f"\nAll numbers: {folder / METRICS}")
    if why_not:
        print(f"No calibrated scores: {why_not}.")
    else:
        how = "" if "validation" in splits else ", cross-fitted"
        print(f"Calibrated and prevalence-shifted scores{how}: {folder / CALIBRATED}")
    print(f"report in {write_report([folder], folder / 'report.html')}")


def read_splits() -> dict[str, "Predictions"]:
    """The files that were given, row by row in the split where it belongs; `test` is there.

    Raises:
        UserError: a file cannot be read, or has no rows of the split that it is given for.
    """
    from mole_jax.evaluation.splits import by_split, rows_of

    given = read_file(FLAGS.predictions)
    rows_of(given, "test")
    splits = by_split(given)
    if FLAGS.validation:
        splits["validation"] = rows_of(read_file(FLAGS.validation), "validation")
    return splits


def pairs_of_attributes(texts: list[str]) -> list[tuple[str, str]]:
    """Reads sex+age and the like.

    Raises:
        UserError: one of them is not two attributes.
    """
    from mole_jax.evaluation.subgroups import ATTRIBUTES

    pairs = []
    for text in texts:
        names = [name.strip() for name in text.split("+")]
        if len(names) != 2 or not set(names) <= set(ATTRIBUTES) or names[0] == names[1]:
            raise UserError(
                f"--intersections: {text!r} is not two of {', '.join(ATTRIBUTES)}; give for example sex+age"
            )
        pairs.append((names[0], names[1]))
    return pairs


def costs(texts: list[str]) -> tuple[float, float] | None:
    """Reads the costs of a miss and of a false alarm.

    Raises:
        UserError: they are not two numbers.
    """
    found = numbers("costs", texts, "20,1")
    if found is not None and len(found) != 2:
        raise UserError(
            f"--costs={','.join(texts)} is not the costs of a miss and of a false alarm; give for example 20,1"
        )
    return None if found is None else (found[0], found[1])


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_string(
        "predictions",
        None,
        "the test set, scored by any framework: image_id,label,score (lesion_id, patient_id, logit, metadata); names "
        "that others use are known",
    )
    flags.DEFINE_string(
        "validation",
        None,
        "the validation set: thresholds and calibration come from it; without it they are cross-fitted",
    )
    define_file_flags()
    flags.DEFINE_float("threshold", None, "a threshold of your own, in [0, 1]")
    flags.DEFINE_list("target_sensitivity", [], "sensitivities to reach; default 0.9,0.95,0.98")
    flags.DEFINE_float(
        "threshold_confidence",
        None,
        "choose thresholds too that keep those sensitivities on new lesions with this confidence",
    )
    flags.DEFINE_list("intersections", ["sex+age"], "attributes whose joint levels are subgroups too")
    flags.DEFINE_list("costs", [], "of a miss and of a false alarm, such as 20,1: expected cost at each threshold")
    flags.DEFINE_list("budgets", [], "numbers of images: what looking at those with the highest scores finds")
    flags.DEFINE_string("run", None, "directory of a finished run, to be judged on --dataset")
    flags.DEFINE_string("dataset", None, "the name of a prepared dataset that the run has not seen")
    flags.DEFINE_string("data_dir", "data", "where prepared datasets lie, the run's own too")
    flags.DEFINE_enum("split", "all", ["all", "train", "validation", "test"], "which images of the dataset")
    flags.DEFINE_enum(
        "overlap",
        "refuse",
        ["refuse", "exclude", "allow"],
        "images that the run has seen: refuse them all, leave those out, or judge them too, stamped leaky (also where "
        "that cannot be checked)",
    )
    flags.DEFINE_integer("resamples", 2000, "of the cluster bootstrap", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "of the cluster bootstrap", lower_bound=0)
    flags.DEFINE_string(
        "out", None, "folder for the results and report.html; none: the table alone, or RUN/external/DATASET"
    )


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__)
