"""What stands first on the page: what was trained on what, whether it leaks, and the three numbers that matter."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

from mole_jax.evaluation.paper_results import DOCTORS, MODELS
from mole_jax.evaluation.table import PAPERS, size_text
from mole_jax.report.figures.roc_figure import main_at, point_name
from mole_jax.report.given import FILES, from_files
from mole_jax.report.parts import estimate_text
from mole_jax.runs.read import Run

PROTOCOLS = {
    "grouped": "protocol grouped: split by lesion, no lesion lies in two splits",
    "given": "protocol given: the source's own split",
    "paper": "protocol paper: melanomas augmented first, then split by image, as in the paper",
    "paper_by_lesion": "protocol paper_by_lesion: melanomas augmented first, then split by lesion",
    "paper_clean": "protocol paper_clean: split by lesion, classes balanced, only training images augmented",
}


@dataclass(frozen=True)
class Number:
    """One of the numbers that matter."""

    name: str
    value: str
    interval: str  # or why there is no value


@dataclass(frozen=True)
class Summary:
    """A run in a few lines."""

    name: str
    sentence: str
    sizes: list[str]
    numbers: list[Number]
    leaks: list[str]
    notes: list[str]
    command: list[str]  # word by word
    config: Mapping[str, Any]
    environment: Mapping[str, str]


def summarise(run: Run, others: Sequence[Run]) -> Summary:
    """The summary of one run, and what sets it apart from the others."""
    test = run.metrics["splits"]["test"]
    at = main_at(run)
    aim = point_name(run.main)
    if run.metrics["operating_points"].get(run.main, {}).get("folds"):
        aim += ", cross-fitted"
    scale = [] if from_files(run) else [_scale(test)]
    notes = [warning for warning in run.metrics["warnings"] if warning not in run.leaks]
    if run.metrics["leaky"] is None:
        notes.append("It is not known whether training and test images share lesions.")
    return Summary(
        name=run.name,
        sentence=_of_file(run) if from_files(run) else _of_run(run, others),
        sizes=[f"{name.capitalize()}: {size_text(split)}" for name, split in run.metrics["splits"].items()],
        numbers=[
            _number("AUROC", test["auroc"]),
            _number(f"Sensitivity (threshold: {aim})", at.get("sensitivity")),
            _number("Specificity (same threshold)", at.get("specificity")),
            *_of_lesions(run),
        ],
        leaks=run.leaks,
        notes=[*notes, *scale],
        command=_command(run.environment.get("command", [])),
        config=run.config,
        environment={name: _text(value) for name, value in run.environment.items() if name != "command"},
    )


def _of_run(run: Run, others: Sequence[Run]) -> str:
    protocol = run.metrics["protocol"]
    return (
        f"Model {run.config['model']}, trained on {run.config['dataset']} for {_epochs(run)}; "
        f"{PROTOCOLS.get(protocol, f'protocol {protocol}')}.{_apart(run, others)}"
    )


def _of_file(run: Run) -> str:
    files = {split: PurePath(path).name for split, path in run.config[FILES].items()}
    of_others = [f"{split} predictions {name}" for split, name in files.items() if split != "test"]
    return (
        f"Predictions {files['test']}{'; ' if of_others else ''}{', '.join(of_others)}. How the model was trained is "
        "not known."
    )


def _of_lesions(run: Run) -> list[Number]:
    """What becomes of lesions with several images, each called by its highest score."""
    found = run.metrics["splits"]["test"].get("by_lesion")
    if found is None:
        return []
    at = found["maximum"]["operating_points"].get(run.main, {})
    return [_number("Sensitivity by lesion (highest score of its images)", at.get("sensitivity"))]


def _scale(test: Mapping[str, Any]) -> str:
    """Our accuracy beside the ranges that the paper quotes, and why they are no yardstick."""
    ours = test["operating_points"].get(PAPERS, {}).get("accuracy")
    none = 1 - test["positives"] / test["images"]
    (doctors, their_best), (models, best_model) = DOCTORS, MODELS
    return (
        f"Accuracies that the paper quotes (White, HIStalk, 2019): doctors {doctors:.0%} to {their_best:.0%}, models "
        f"{models:.0%} to {best_model:.0%}, on other images with another share of melanomas. This run, where its "
        f"validation accuracy is best: {estimate_text(ours)}; calling nothing melanoma: {none:.3f}. So accuracy is no "
        "yardstick here: look at the specificity at equal sensitivity."
    )


def _number(name: str, estimate: Mapping[str, Any] | None) -> Number:
    value, _, rest = estimate_text(estimate).partition(" ")
    return Number(name, value, rest.strip("()"))


def _apart(run: Run, others: Sequence[Run]) -> str:
    names = [name for name in run.config if name not in ("model", "dataset", "epochs", "data_dir", "run_dir")]
    apart = [name for name in names if any(other.config.get(name) != run.config[name] for other in others)]
    return (
        f" Settings in which the runs differ: {', '.join(f'{name} {run.config[name]}' for name in apart)}."
        if apart
        else ""
    )


def _epochs(run: Run) -> str:
    if "repeats" in run.metrics:
        seeds = run.metrics["repeats"]["seeds"]
        return f"at most {run.config['epochs'] + run.config['finetune_epochs']} epochs with each of {len(seeds)} seeds"
    epochs = run.epochs[-1]["epoch"] if run.epochs else run.config["epochs"]
    return f"{epochs} epoch{'' if epochs == 1 else 's'}"


def _command(command: Sequence[str]) -> list[str]:
    if not command:
        return ["(not recorded)"]
    return ["python", "-m", f"experiments.{PurePath(command[0]).stem}", *map(shlex.quote, command[1:])]


def _text(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {item}" for key, item in value.items() if item is not None)
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "unknown" if value is None else str(value)
