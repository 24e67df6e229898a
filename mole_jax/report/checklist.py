"""Which items of the reporting guidelines this page fills, and which its author still has to write.

Items are named in our own words after TRIPOD+AI (Collins et al., BMJ 2024, doi:10.1136/bmj-2023-078378; 27 items) and
STARD-AI (2025), which extends STARD 2015 by items on the data, the evaluation of the index test, and bias and fairness.
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

from mole_jax.report.runs import Run

TRIPOD_AI = "https://doi.org/10.1136/bmj-2023-078378"


class Item(NamedTuple):
    """One item: where it comes from, what it asks for, whether it is there, and where or what is missing."""

    guideline: str
    topic: str
    state: Literal["filled", "partly", "missing"]
    where: str


def checklist(runs: Sequence[Run]) -> list[Item]:
    """The items, judged by what these runs hold."""
    tests = [run.metrics["splits"]["test"] for run in runs]
    subgroups = all(test["subgroups"] for test in tests)
    logged = all(run.epochs for run in runs)
    grouped = all(test["grouped_by"] == "lesion_id" for test in tests)
    real = not any(run.synthetic for run in runs)
    clean = all(run.metrics["leaky"] is False and not run.leaks for run in runs)
    committed = all(run.environment.get("git_commit") for run in runs)
    tripod: list[tuple[str, str, bool | None, str, str]] = [
        # number, topic, filled (None: partly), where it is, what is missing
        ("1", "Title names model, outcome and population", False, "", "a title that names the population"),
        ("2", "Abstract", False, "", "an abstract"),
        ("3", "Background: clinical setting, intended use, known inequalities", False, "", "setting and intended use"),
        ("4", "Objectives: development, evaluation or both", False, "", "the aim of the study"),
        ("5", "Data: source, dates, how representative", None, "name and fingerprint of the dataset", "dates, centres, fit to the population"),
        ("6", "Participants: setting, eligibility, treatment", False, "", "who was photographed, and why"),
        ("7", "Preparation of the data", None, "config (normalize, augment, balance)", "how the images were taken and cleaned"),
        ("8", "Outcome: definition and how it was established", subgroups or None, "subgroups by how diagnosed", "who read the histology, and blinded to what"),
        ("9", "Predictors", True, "the pixels of one 224x224 image, nothing else", ""),
        ("10", "Sample size and its justification", None, "images, lesions and melanomas of each split", "a calculation beforehand"),
        ("11", "Missing data", None, "subgroups list the unknown levels", "how images came to be missing"),
        ("12", "Analysis: splits, model, performance measures", True, "summary, config, captions", ""),
        ("13", "Class imbalance and how it was met", True, "config (balance), calibration", ""),
        ("14", "Fairness and how it was examined", subgroups or None, "subgroups by sex and age", "skin tone is in none of these data"),
        ("15", "Output of the model and thresholds", True, "operating points", ""),
        ("16", "Differences between training and evaluation data", None, "splits of one dataset", "an external test set"),
        ("17", "Ethics approval", False, "", "approval or waiver for the images"),
        ("18", "Open science: funding, registration, protocol, data, code", committed and None, "git commit and command", "funding, interests, registration, protocol"),
        ("19", "Involvement of patients and the public", False, "", "whether there was any"),
        ("20", "Flow and characteristics of participants", subgroups and None, "subgroup sizes", "a flow chart from source images to splits"),
        ("21", "Development: numbers in each analysis", logged, "loss and accuracy by epoch, sizes", "the log of training"),
        ("22", "Specification of the model, so that it can be used", None, "config and command", "the weights: publish the checkpoint"),
        ("23", "Performance with intervals, in subgroups too", True if grouped else None, "table, ROC, calibration, decision curve", "lesion ids, without which intervals are too narrow"),
        ("24", "Updating of the model", False, "", "whether it was updated"),
        ("25", "Interpretation, fairness included", False, "", "a discussion"),
        ("26", "Limitations", None, "warnings in the summary", "a discussion of bias and of other populations"),
        ("27", "Use in practice: poor input, users, next steps", False, "", "what happens with a bad photograph"),
    ]  # fmt: skip
    stard: list[tuple[str, str, bool | None, str, str]] = [
        ("", "Index test: version and how to repeat it", committed or None, "environment, config, command", "the git commit"),
        ("", "Reference standard", None, "subgroups by how diagnosed", "its description; not all moles have histology"),
        ("", "Thresholds fixed before the test data were seen", True, "chosen on validation, frozen", ""),
        ("", "Independence of training and test data", clean or None, "protocol and check for shared lesions", "a split that does not leak"),
        ("", "Real patients", real, "the dataset holds photographs", "the lesions are drawn"),
        ("", "Cross table of index test and reference", True, "confusion matrices", ""),
        ("", "Accuracy with its precision", True, "intervals on every figure", ""),
        ("", "Images that could not be judged", False, "", "how many were excluded, and why"),
        ("", "Bias and fairness of the index test", subgroups or None, "subgroups", "skin tone"),
        ("", "Harm from testing or from the reference standard", False, "", "adverse events"),
    ]  # fmt: skip
    return [
        *(_item(f"TRIPOD+AI {number}", *rest) for number, *rest in tripod),  # type: ignore[arg-type]
        *(_item("STARD-AI", *rest) for _, *rest in stard),  # type: ignore[arg-type]
    ]


def _item(guideline: str, topic: str, filled: bool | None, where: str, missing: str) -> Item:
    if filled:
        return Item(guideline, topic, "filled", where)
    if filled is None:
        return Item(guideline, topic, "partly", f"{where}; missing: {missing}")
    return Item(guideline, topic, "missing", missing)
