"""The results of judging files of predictions, as a folder from which its page is made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mole_jax.evaluation.clinical import write_calibrated_scores
from mole_jax.evaluation.predictions import Predictions, read_predictions, write_predictions
from mole_jax.evaluation.summary import write_metrics
from mole_jax.files.changes import remove_file
from mole_jax.files.reading import read_record
from mole_jax.files.sums import claim, seal, verify
from mole_jax.files.writing import write_json

ABOUT: Final = "evaluation.json"  # what was judged, and with which command; its presence makes the folder one of these
EVALUATION: Final = "evaluation"  # the kind of its files
METRICS: Final = "metrics.json"
SPLITS: Final = ("train", "validation", "test")
CALIBRATED: Final = "calibrated_scores.csv"
REMEDY: Final = "run python -m experiments.evaluate --predictions=FILE --out=FOLDER again"


@dataclass(frozen=True)
class Evaluation:
    """What such a folder holds."""

    about: dict[str, Any]
    metrics: dict[str, Any]
    test: Predictions


def claim_evaluation(folder: Path) -> None:
    """Makes a folder one of these, before anything is computed for it.

    Raises:
        UserError: it holds files of these names that no evaluation wrote, or it cannot be written.
    """
    names = (ABOUT, METRICS, CALIBRATED, *(f"{split}.csv" for split in SPLITS))
    claim(folder, EVALUATION, names, otherwise="give another --out")


def write_evaluation(
    folder: Path, splits: Mapping[str, Predictions], metrics: Mapping[str, Any], *, command: list[str]
) -> str | None:
    """Writes metrics, predictions as they were understood, and calibrated scores.

    Args:
        folder: to write into.
        splits: `test`, and `validation` and `train` where they are there.
        metrics: of them.
        command: word by word.

    Returns:
        Why there are no calibrated scores; None where there are.
    """
    claim_evaluation(folder)
    remove_file(folder / ABOUT)  # written last, so that half a folder is none
    write_metrics(folder / METRICS, metrics)
    for split in SPLITS:
        remove_file(folder / f"{split}.csv")
        if split in splits:
            write_predictions(folder / f"{split}.csv", splits[split])
    reason = write_calibrated_scores(folder / CALIBRATED, splits["test"], splits.get("validation"))
    files = {split: predictions.source for split, predictions in splits.items()}
    write_json(folder / ABOUT, {"files": files, "command": command})
    seal(folder, EVALUATION)
    return reason


def is_evaluation(folder: Path) -> bool:
    """Whether a folder is one of these."""
    return (folder / ABOUT).is_file()


def read_evaluation(folder: Path) -> Evaluation:
    """Reads such a folder.

    Raises:
        UserError: a file is missing, damaged, or not what was written.
    """
    verify(folder, EVALUATION, (ABOUT, METRICS, "test.csv"), again=REMEDY)
    about, metrics = (read_record(folder / name, dict[str, Any], remedy=REMEDY) for name in (ABOUT, METRICS))
    return Evaluation(about, metrics, read_predictions(folder / "test.csv"))
