"""Trials of a sweep that share their passes over the images: trains them together, writes each one's own directory."""

import json
from collections.abc import Sequence
from pathlib import Path

from mole_jax.config import RunConfig
from mole_jax.data.dataset import Dataset, load_dataset
from mole_jax.evaluation.predictions import write_predictions
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import write_json, write_text
from mole_jax.runs.directory import STEPS, hold, predictions_file
from mole_jax.runs.identity import Identity, write_identity
from mole_jax.runs.predictions import to_predictions
from mole_jax.studies.stacked import Outcome, train_stacked
from mole_jax.sweeps.outcome import OUTCOME, STACKED, STACKED_FILES

_OTHERWISE = "move it elsewhere"


def train_stack(configs: Sequence[RunConfig]) -> list[Outcome]:
    """Trains logistic regressions together and writes the directory of each, which holds no checkpoint: a stack that
    is stopped begins again, since it costs about two runs.

    Args:
        configs: `run_dir` given, all of one dataset.

    Raises:
        UserError: the dataset is not prepared or has changed meanwhile, or a directory holds what is not ours.
    """
    dataset = load_dataset(Path(configs[0].data_dir), configs[0].dataset)
    outcomes = train_stacked([*configs], dataset)
    dataset.reading.refuse_change()
    for outcome in outcomes:
        _write(outcome, dataset)
    return outcomes


def _write(outcome: Outcome, dataset: Dataset) -> None:
    folder = Path(outcome.config.run_dir)
    with hold(folder, STACKED, STACKED_FILES):
        claim(folder, STACKED, STACKED_FILES, alone=True, otherwise=_OTHERWISE)
        write_identity(folder, Identity(outcome.config, dataset.facts.fingerprint))
        write_text(folder / STEPS, "".join(json.dumps(figures) + "\n" for figures in outcome.epochs))
        for split in ("validation", "test") if outcome.diverged is None else ():
            path = predictions_file(folder, split)
            path.parent.mkdir(exist_ok=True)
            write_predictions(path, to_predictions(dataset.rows[split], outcome.logits[split]))
        write_json(folder / OUTCOME, {"diverged": outcome.diverged})
        seal(folder, STACKED)
