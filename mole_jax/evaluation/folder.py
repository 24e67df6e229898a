"""The results of judging files of predictions, as a folder from which its page is made again."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mole_jax.evaluation.clinical import write_calibrated_scores
from mole_jax.evaluation.predictions import Predictions, read_predictions, write_predictions
from mole_jax.evaluation.summary import write_metrics
from mole_jax.files.reading import read_record
from mole_jax.files.writing import write_json

ABOUT: Final = "evaluation.json"  # what was judged, and with which command; its presence makes the folder one of these
METRICS: Final = "metrics.json"
CALIBRATED: Final = "calibrated_scores.csv"
REMEDY: Final = "run python -m experiments.evaluate --predictions=FILE --out=FOLDER again"


@dataclass(frozen=True)
class Evaluation:
    """What such a folder holds."""

    about: dict[str, Any]
    metrics: dict[str, Any]
    test: Predictions


def write_evaluation(
    folder: Path, splits: Mapping[str, Predictions], metrics: Mapping[str, Any], *, command: list[str]
) -> str | None:
    """Writes metrics, predictions as they were understood, and calibrated scores.

    Args:
        folder: that is there.
        splits: `test`, and `validation` and `train` where they are there.
        metrics: of them.
        command: word by word.

    Returns:
        Why there are no calibrated scores; None where there are.
    """
    (folder / ABOUT).unlink(missing_ok=True)  # written last, so that half a folder is none
    write_metrics(folder / METRICS, metrics)
    for split in ("train", "validation", "test"):
        (folder / f"{split}.csv").unlink(missing_ok=True)
        if split in splits:
            write_predictions(folder / f"{split}.csv", splits[split])
    reason = write_calibrated_scores(folder / CALIBRATED, splits["test"], splits.get("validation"))
    files = {split: predictions.source for split, predictions in splits.items()}
    write_json(folder / ABOUT, {"files": files, "command": command})
    return reason


def is_evaluation(folder: Path) -> bool:
    """Whether a folder is one of these."""
    return (folder / ABOUT).is_file()


def read_evaluation(folder: Path) -> Evaluation:
    """Reads such a folder.

    Raises:
        UserError: a file is missing or damaged.
    """
    about, metrics = (read_record(folder / name, dict[str, Any], remedy=REMEDY) for name in (ABOUT, METRICS))
    return Evaluation(about, metrics, read_predictions(folder / "test.csv"))
