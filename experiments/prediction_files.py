"""Files of predictions as the user gives them: the flags that `evaluate` and `compare` share, and the reading."""

from pathlib import Path

from absl import flags

from experiments.paths import given_path
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions, read_predictions
from mole_jax.evaluation.reading.columns import parse_columns
from mole_jax.vocabulary.diagnoses import Decisions

FLAGS = flags.FLAGS
SHARED = ("columns", "positive", "negative", "truth")


def define_file_flags() -> None:
    """Defines the flags that say how files of predictions are read."""
    flags.DEFINE_list(
        "columns", [], 'columns by name, where they are not found: "id=...,label=...,score=...,group=..."'
    )
    flags.DEFINE_list("positive", [], "labels that mean melanoma, where they are not 0 and 1 or known diagnoses")
    flags.DEFINE_list("negative", [], "labels that do not")
    flags.DEFINE_string("truth", None, "a file with the labels, joined by image id, where the predictions have none")


def read_file(path: str | Path) -> Predictions:
    """Reads a file of predictions as the flags say."""
    return read_predictions(
        given_path(str(path)),
        columns=parse_columns(FLAGS.columns),
        decisions=Decisions(tuple(FLAGS.positive), tuple(FLAGS.negative)),
        truth=given_path(FLAGS.truth) if FLAGS.truth else None,
    )


def free_folder(text: str) -> Path:
    """The folder for results, so that a mistake is told before anything is computed.

    Raises:
        UserError: it is a file, or holds files of the same names that are not ours.
    """
    from mole_jax.evaluation.folder import refuse_foreign_evaluation
    from mole_jax.report.files import refuse_foreign_page

    folder = given_path(text)
    refuse_foreign_evaluation(folder)
    refuse_foreign_page(folder / "report.html")
    return folder


def numbers(name: str, texts: list[str], example: str) -> list[float] | None:
    """The numbers given to a list flag; None where it was not given.

    Raises:
        UserError: one of them is not a number.
    """
    try:
        return [float(text) for text in texts] or None
    except ValueError:
        raise UserError(f"--{name}={','.join(texts)} is not a list of numbers; give for example {example}") from None
