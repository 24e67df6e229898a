"""The results of judging files of predictions, as a folder from which its page is made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mole_jax.evaluation.clinical import write_calibrated_scores
from mole_jax.evaluation.predictions import Predictions, read_predictions, write_predictions
from mole_jax.evaluation.schema import Metrics
from mole_jax.evaluation.summary import write_metrics
from mole_jax.files.changes import remove_file
from mole_jax.files.reading import read_record
from mole_jax.files.sums import claim, refuse_foreign, seal, verify
from mole_jax.files.writing import write_json

KIND: Final = "evaluation"
ABOUT: Final = "evaluation.json"  # what was judged, and with which command; its presence makes the folder one of these
METRICS: Final = "metrics.json"
CALIBRATED: Final = "calibrated_scores.csv"
SPLITS: Final = {split: f"predictions/{split}.csv" for split in ("train", "validation", "test")}
FILES: Final = (ABOUT, METRICS, CALIBRATED, *SPLITS.values())
REMEDY: Final = "run python -m experiments.evaluate --predictions=FILE --out=FOLDER again"
OTHERWISE: Final = "give another --out"


@dataclass(frozen=True)
class Evaluation:
    """What such a folder holds."""

    about: dict[str, Any]
    metrics: dict[str, Any]
    test: Predictions


def refuse_foreign_evaluation(folder: Path) -> None:
    """Raises UserError where the results cannot go into a folder: it is a file, or has files of these names that are
    not ours; changes nothing.
    """
    refuse_foreign(folder, KIND, FILES, otherwise=OTHERWISE)


def write_evaluation(
    folder: Path, splits: Mapping[str, Predictions], metrics: Mapping[str, Any], *, command: list[str]
) -> str | None:
    """Writes metrics, predictions as they were understood, and calibrated scores, over older ones of ours.

    Args:
        folder: which is made if need be.
        splits: `test`, and `validation` and `train` where they are there.
        metrics: of them.
        command: word by word.

    Returns:
        Why there are no calibrated scores; None where there are.

    Raises:
        UserError: as `refuse_foreign_evaluation`, or it cannot be written.
    """
    claim(folder, KIND, FILES, otherwise=OTHERWISE)
    for name in FILES:
        remove_file(folder / name)
    (folder / SPLITS["test"]).parent.mkdir(exist_ok=True)
    write_metrics(folder / METRICS, metrics)
    for split, predictions in splits.items():
        write_predictions(folder / SPLITS[split], predictions)
    reason = write_calibrated_scores(folder / CALIBRATED, splits["test"], splits.get("validation"))
    files = {split: predictions.source for split, predictions in splits.items()}
    write_json(folder / ABOUT, {"files": files, "command": command})
    seal(folder, KIND)
    return reason


def is_evaluation(folder: Path) -> bool:
    """Whether a folder is one of these."""
    return (folder / ABOUT).is_file()


def read_evaluation(folder: Path) -> Evaluation:
    """Reads such a folder.

    Raises:
        UserError: a file is missing, damaged or has changed since it was written.
    """
    verify(folder, KIND, (ABOUT, METRICS, SPLITS["test"]), again=REMEDY)
    about, metrics = (read_record(folder / name, dict[str, Any], remedy=REMEDY) for name in (ABOUT, METRICS))
    read_record(folder / METRICS, Metrics, remedy=REMEDY)
    return Evaluation(about, metrics, read_predictions(folder / SPLITS["test"]))
