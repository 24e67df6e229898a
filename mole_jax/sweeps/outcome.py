"""What a trial has left: a run's directory, or the smaller one of a regression that shared its pass with others."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from mole_jax.config import RunConfig
from mole_jax.errors import UserError
from mole_jax.evaluation.predictions import Predictions, read_predictions
from mole_jax.files.reading import read_record
from mole_jax.files.sums import is_sealed, verify
from mole_jax.runs.directory import CONFIG, ENVIRONMENT, METRICS, STEPS, predictions_file, verify_run
from mole_jax.runs.read import read_epochs

STACKED: Final = "stacked"  # the kind of the smaller directory
OUTCOME: Final = "outcome.json"
STACKED_FILES: Final = (
    *(CONFIG, ENVIRONMENT, STEPS, OUTCOME),
    *("predictions/validation.csv", "predictions/test.csv"),
)
_AGAIN: Final = "remove the trial's directory and give the command again, which trains it anew"


@dataclass(frozen=True)
class StackedOutcome:
    """What became of a regression that shared its pass; `diverged`: what was not finite, None where all was."""

    diverged: str | None


def finished(trial: Path) -> bool:
    """Whether a trial's directory is complete, by its marks alone."""
    return is_sealed(trial, STACKED) or (trial / METRICS).is_file()


def diverged(trial: Path) -> str:
    """What was not finite in a finished trial, in words; "" where all was, as in every run that is finished."""
    if not (trial / OUTCOME).is_file():
        return ""
    outcome: StackedOutcome = read_record(trial / OUTCOME, StackedOutcome, remedy=_AGAIN)
    return outcome.diverged or ""


def refuse_other(trial: Path, config: RunConfig, fingerprint: str) -> None:
    """Raises UserError where a finished trial is not of this config and dataset, or has changed since."""
    if (trial / OUTCOME).is_file():
        verify(trial, STACKED, (CONFIG, ENVIRONMENT, STEPS, OUTCOME), again=_AGAIN)
    else:
        verify_run(trial)
    there = RunConfig().to_dict() | read_record(trial / CONFIG, dict[str, Any], remedy=_AGAIN)
    asked = config.to_dict()
    decisive = {*config.chosen, *RunConfig.from_dict(there).chosen, "epochs", "finetune_epochs"}
    if other := [name for name in sorted(decisive) if there[name] != asked[name]]:
        name = other[0]
        raise UserError(
            f"{trial} holds another trial ({name}: {there[name]!r} there, {asked[name]!r} asked for); {_AGAIN}"
        )
    environment: dict[str, Any] = read_record(trial / ENVIRONMENT, dict[str, Any], remedy=_AGAIN)
    if environment.get("dataset_fingerprint") != fingerprint:
        raise UserError(f"the dataset {config.dataset!r} has changed since {trial} was trained; {_AGAIN}")


def epochs_of(trial: Path) -> list[dict[str, Any]]:
    """The figures at the end of each epoch, as in metrics.jsonl; none where it has none yet."""
    return read_epochs(trial / STEPS)


def best_epoch(epochs: list[dict[str, Any]]) -> int:
    """The epoch with the best validation AUROC, the last of equals, from which predictions come."""
    return int(max((epoch["validation_auroc"], epoch["epoch"]) for epoch in epochs)[1])


def predictions(trial: Path, split: str) -> Predictions:
    """The scores of a split at the best epoch."""
    return read_predictions(predictions_file(trial, split))
