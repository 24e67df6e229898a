"""A comparison of models for the terminal."""

from collections.abc import Mapping
from typing import Any

from mole_jax.evaluation.table import UNITS, banner, format_bounds, format_estimate, size_text

NAMES = {
    "auroc": "AUROC",
    "partial_auroc": "Partial AUROC (sens. >= 80 %)",
    "average_precision": "Average precision",
    "brier": "Brier score",
    "log_loss": "Log loss",
    "accuracy": "Accuracy",
    "precision": "Precision",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "f1": "F1",
    "npv": "NPV",
    "balanced_accuracy": "Balanced accuracy",
}


def format_comparison(comparison: Mapping[str, Any]) -> str:
    """Lays out a comparison.json dictionary: for each pair the values, their difference, its interval, the tests."""
    data, drawn = comparison["data"], comparison["bootstrap"]["resamples"]
    unit = UNITS[data["grouped_by"]]
    lines = [*banner(comparison["warnings"]), "", size_text(data)]
    for pair in comparison["pairs"]:
        a, b = pair["models"]
        width = max(12, len(a), len(b)) + 2
        rule = "─" * (30 + 2 * width + 28)
        lines += ["", f"{'':<30}{a:>{width}}{b:>{width}}{'Difference':>12}{'95 % interval':>16}", rule]
        for key, difference in pair["difference"].items():
            one, two = (format_estimate(comparison["models"][name][key])[0] for name in (a, b))
            lines.append(f"{NAMES[key]:<30}{one:>{width}}{two:>{width}}{_signed(difference)}")
        lines += [rule, *_tests(pair)]
    lines += ["", f"Intervals: of AUROC by Student's t over {unit}; others by {drawn:,} paired resamples of {unit}."]
    if len(comparison["pairs"]) > 1:
        lines.append(
            "Each interval is for itself, not adjusted for the number of pairs; comparison.json has simultaneous ones."
        )
    if data["groups"] < data["images"]:
        lines.append(
            "DeLong's and McNemar's tests take images of one lesion as independent; read them as second opinions."
        )
    return "\n".join(line.rstrip() for line in lines).lstrip("\n")


def _signed(estimate: Mapping[str, Any]) -> str:
    if estimate["value"] is None:
        return f"{'–':>12}{'':>16}"
    interval = "" if estimate["low"] is None else " ".join(format_bounds(estimate, sign="+"))
    return f"{estimate['value']:>+12.3f}{interval:>16}"


def _tests(pair: Mapping[str, Any]) -> list[str]:
    named = {
        "auroc_test": "AUROC, Student's t",
        "delong": "AUROC, DeLong",
        "mcnemar": "Right or wrong, McNemar (exact)",
    }
    lines = []
    for key, name in named.items():
        test = pair[key]
        if test is None or test.get("p_value") is None:
            continue
        holm = "" if test["p_value_holm"] == test["p_value"] else f"   Holm-corrected {_p(test['p_value_holm'])}"
        counts = ""
        if key == "mcnemar":
            first, second = pair["models"]
            counts = f"   ({test['only_first_right']} only {first} right, {test['only_second_right']} only {second})"
        lines.append(f"{name:<34}p {_p(test['p_value'])}{holm}{counts}")
    return lines


def _p(p: float) -> str:
    return "< 0.001" if p < 0.001 else f"= {p:.3f}"
