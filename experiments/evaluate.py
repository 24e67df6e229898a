"""Figures with intervals from prediction files of any framework.

python -m experiments.evaluate --predictions=test.csv --validation=validation.csv --out=DIR
"""

from pathlib import Path

from absl import flags

from experiments import cli
from mole_jax.errors import UserError

FLAGS = flags.FLAGS


def command() -> None:
    """Reads the files, prints the table, writes DIR/metrics.json and DIR/calibrated_scores.csv."""
    from mole_jax.evaluation.deeper_figures import write_calibrated_scores
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
        resamples=FLAGS.resamples,
        seed=FLAGS.seed,
    )
    print(format_table(metrics))
    if FLAGS.out:
        folder = Path(FLAGS.out)
        folder.mkdir(parents=True, exist_ok=True)
        write_metrics(folder / "metrics.json", metrics)
        write_calibrated_scores(folder / "calibrated_scores.csv", test, validation)
        print("\nPredictive values by prevalence, reliability and decision curves, subgroups:", folder / "metrics.json")
        print("Calibrated and prevalence-shifted scores:", folder / "calibrated_scores.csv")


def numbers(name: str, texts: list[str]) -> list[float] | None:
    """The numbers of a list flag; None where it was not given.

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
        required=True,
    )
    flags.DEFINE_string("validation", None, "CSV of the validation set: thresholds and temperature come from it")
    flags.DEFINE_float("threshold", None, "a threshold of your own, in [0, 1]")
    flags.DEFINE_list("target_sensitivity", [], "sensitivities to reach on validation; default 0.9,0.95,0.98")
    flags.DEFINE_integer("resamples", 2000, "of the cluster bootstrap", lower_bound=2)
    flags.DEFINE_integer("seed", 0, "of the cluster bootstrap", lower_bound=0)
    flags.DEFINE_string("out", None, "folder for metrics.json and calibrated_scores.csv; none: the table alone")


if __name__ == "__main__":
    define_flags()
    cli.main(command, description=__doc__)
