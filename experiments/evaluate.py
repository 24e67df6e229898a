"""Numbers with intervals, from prediction files of any framework or from a trained run and another dataset.

    python -m experiments.evaluate --predictions=test.csv --validation=validation.csv --out=DIR
    python -m experiments.evaluate --run=runs/NAME --dataset=OTHER

The second is an external validation: every image of a prepared dataset is scored by the run's best checkpoint and
judged at the run's own thresholds and with its own calibration, none of which is chosen anew. Images that the run has
seen are refused. The results lie in runs/NAME/external/OTHER, and the run's report gets a section about them.
"""

from pathlib import Path

from absl import flags

from experiments import cli
from mole_jax.errors import UserError
from mole_jax.memory import keep_freed_memory

FLAGS = flags.FLAGS


# Flags that belong to one of the two forms; None or empty where they are not given.
OF_PREDICTIONS = ("validation", "threshold", "target_sensitivity", "threshold_confidence")
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

    run_dir = Path(FLAGS.run).expanduser()
    request = Request(
        run_dir=run_dir,
        dataset=FLAGS.dataset,
        data_dir=Path(FLAGS.data_dir).expanduser(),
        split=FLAGS.split,
        overlap=FLAGS.overlap,
        out=Path(FLAGS.out) if FLAGS.out else None,
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
    """Reads the files, prints the table, writes DIR/metrics.json and, with validation, DIR/calibrated_scores.csv."""
    keep_freed_memory()  # the bootstrap fills tables of one size again and again
    from mole_jax.evaluation.clinical import write_calibrated_scores
    from mole_jax.evaluation.predictions import read_predictions
    from mole_jax.evaluation.summary import evaluate, write_metrics
    from mole_jax.evaluation.table import format_table

    test = read_predictions(FLAGS.predictions)
    validation = read_predictions(FLAGS.validation) if FLAGS.validation else None
    metrics = evaluate(
        test,
        validation=validation,
        threshold=FLAGS.threshold,
        target_sensitivity=numbers("target_sensitivity", FLAGS.target_sensitivity),
        threshold_confidence=FLAGS.threshold_confidence,
        resamples=FLAGS.resamples,
        seed=FLAGS.seed,
    )
    print(format_table(metrics))
    if FLAGS.out:
        folder = Path(FLAGS.out)
        folder.mkdir(parents=True, exist_ok=True)
        write_metrics(folder / "metrics.json", metrics)
        why_not = write_calibrated_scores(folder / "calibrated_scores.csv", test, validation)
        print("\nPredictive values by prevalence, reliability and decision curves, subgroups:", folder / "metrics.json")
        if why_not:
            print(f"No calibrated scores: {why_not}.")
        else:
            print("Calibrated and prevalence-shifted scores:", folder / "calibrated_scores.csv")


def numbers(name: str, texts: list[str]) -> list[float] | None:
    """The numbers given to a list flag; None where it was not given.

    Raises:
        UserError: one of them is not a number.
    """
    try:
        return [float(text) for text in texts] or None
    except ValueError:
        raise UserError(f"--{name}={','.join(texts)} is not a list of numbers; give for example 0.9,0.95") from None


def define_flags() -> None:
    """Defines this command's flags."""
    flags.DEFINE_string(
        "predictions",
        None,
        "CSV of the test set: image_id,label,score (lesion_id, logit, metadata)",
    )
    flags.DEFINE_string("validation", None, "CSV of the validation set: thresholds and temperature come from it")
    flags.DEFINE_float("threshold", None, "a threshold of your own, in [0, 1]")
    flags.DEFINE_list("target_sensitivity", [], "sensitivities to reach on validation; default 0.9,0.95,0.98")
    flags.DEFINE_float(
        "threshold_confidence",
        None,
        "choose thresholds too that keep those sensitivities on new lesions with this confidence",
    )
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
    flags.DEFINE_string("out", None, "folder for the results; none: the table alone, or RUN/external/DATASET")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__)
