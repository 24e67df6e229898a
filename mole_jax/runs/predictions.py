"""From a run's logits to the predictions CSV that evaluation, and any other tool, starts from."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float
from scipy.special import expit

from mole_jax.data.manifest import ManifestRow
from mole_jax.evaluation.predictions import METADATA, Predictions, write_predictions
from mole_jax.runs.directory import predictions_file


def to_predictions(rows: list[ManifestRow], logits: Float[np.ndarray, " n"]) -> Predictions:
    """Joins the rows of one split with their logits; score is the sigmoid, computed in float64."""

    def column(name: str) -> np.ndarray:
        values = [getattr(row, name) for row in rows]
        return np.array(["" if value is None else f"{value}" for value in values], np.str_)

    wide = logits.astype(np.float64)
    return Predictions(
        image_id=column("image_id"),
        lesion_id=column("lesion_id"),
        patient_id=column("patient_id"),
        label=np.array([row.label for row in rows]),
        score=expit(wide),
        logit=wide,
        metadata={name: column(name) for name in METADATA},
    )


def write_splits(run_dir: Path, predictions: Mapping[str, Predictions]) -> None:
    """Writes the predictions of each split into a run's directory."""
    for split, of_split in predictions.items():
        path = predictions_file(run_dir, split)
        path.parent.mkdir(exist_ok=True)
        write_predictions(path, of_split)
