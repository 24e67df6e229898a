"""The paper's table of metrics (Fig. 5) for the terminal, with intervals, and the estimates beside it."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

COLUMNS = {
    "Accuracy": "accuracy",
    "Precision": "precision",
    "Sensitivity": "sensitivity",
    "Specificity": "specificity",
    "F1": "f1",
    "AUROC": "auroc",
}
RANKING = {
    "AUROC, DeLong": "auroc_delong",
    "Partial AUROC": "partial_auroc",
    "Avg. precision": "average_precision",
    "NPV": "npv",
    "Bal. accuracy": "balanced_accuracy",
}
AT_OTHERS = {"Sensitivity": "sensitivity", "Specificity": "specificity", "Precision": "precision", "NPV": "npv"}
CALIBRATION = {"Brier": "brier", "Log loss": "log_loss", "ECE": "ece", "Slope": "slope", "Intercept": "intercept"}
CELL = 16
WIDTH = 108


def format_table(metrics: Mapping[str, Any]) -> str:
    """Lays out a metrics.json dictionary: warnings, the paper's table at the main threshold, more of the test.

    At most `WIDTH` characters wide; values over their 95 % intervals.
    """
    splits, main, test = metrics["splits"], metrics["main_operating_point"], metrics["splits"]["test"]
    sizes = [f"{name.capitalize():<12}{_size(split)}" for name, split in splits.items()]
    rows = {
        name.capitalize() + ("*" if split["optimistic"] else ""): _at(split, main) for name, split in splits.items()
    }
    blocks = [
        _banner(metrics["warnings"]),
        sizes,
        grid("", COLUMNS, rows),
        _notes(metrics),
        grid("", RANKING, {"Test": _at(test, main)}),
        grid("At other thresholds", AT_OTHERS, _others(test, main)),
        grid("Calibration", CALIBRATION, _calibration(test["calibration"])),
    ]
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks if block)


def format_estimate(estimate: Mapping[str, Any] | None) -> tuple[str, str]:
    """An estimate as two short texts: its value and its interval."""
    if estimate is None or estimate["value"] is None:
        return "–", ""
    if estimate["low"] is None:
        return f"{estimate['value']:.3f}", ""
    dash = " to " if estimate["low"] < 0 else "–"
    return f"{estimate['value']:.3f}", f"{estimate['low']:.3f}{dash}{estimate['high']:.3f}"


def _banner(warnings: Sequence[str]) -> list[str]:
    lines = []
    for warning in warnings:
        first, rest = ("!!! ", "!!! ") if warning.startswith("LEAK") else ("note: ", "      ")
        lines += textwrap.wrap(warning, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False)
    return lines


def _size(split: Mapping[str, Any]) -> str:
    lesions = "" if split["grouped_by"] == "image_id" else f" of {split['groups']:,} lesions"
    share = split["positives"] / split["images"]
    return f"{split['images']:,} images{lesions}, {split['positives']:,} of them melanoma ({share:.1%})"


def _at(split: Mapping[str, Any], main: str | None) -> Mapping[str, Any]:
    return {**split, **(split["operating_points"][main] if main else {})}


def _others(split: Mapping[str, Any], main: str | None) -> dict[str, Mapping[str, Any]]:
    rows = {}
    for name, point in split["operating_points"].items():
        if name != main:
            rule = name.replace("_", " >= ")
            score = "none" if point["threshold"] is None else f"score >= {point['threshold']:.3g}"
            rows[f"{rule}\n{score}"] = point
    return rows


def _calibration(calibration: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    rows = {"scores as given": calibration["before"]}
    if "after_temperature" in calibration:
        rows[f"temperature {calibration['temperature']['value']:.2f}"] = calibration["after_temperature"]
    if "after_platt" in calibration:
        rows["Platt scaling"] = calibration["after_platt"]
    return rows


def grid(
    title: str, columns: Mapping[str, str], rows: Mapping[str, Mapping[str, Any]], *, cell: int = CELL
) -> list[str]:
    """Lines of one table: values over their intervals.

    Args:
        title: above the rows' names.
        columns: head -> key of an estimate; those that no row has are left out.
        rows: name, of one line or two -> estimates by key.
        cell: width of a column, at least 12.
    """
    keys = [(head, key) for head, key in columns.items() if any(key in estimates for estimates in rows.values())]
    if not keys:
        return []
    first = max(12, *(len(part) + 1 for label in (title, *rows) for part in label.split("\n")))
    lines = [f"{title:<{first}}" + "".join(f"{head:>{cell}}" for head, _ in keys), "─" * (first + cell * len(keys))]
    for label, estimates in rows.items():
        texts = [format_estimate(estimates.get(key)) for _, key in keys]
        names = (*label.split("\n"), "")
        for line, name in enumerate(names[:2]):
            lines.append(f"{name:<{first}}" + "".join(f"{text[line]:>{cell}}" for text in texts))
    return lines


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    test, main = metrics["splits"]["test"], metrics["main_operating_point"]
    unit = "images" if test["grouped_by"] == "image_id" else "lesions"
    notes = [f"Below each value its 95 % interval: {test['resamples']:,} bootstrap resamples of {unit} within class"]
    notes[0] += "; Wilson for proportions." if test["groups"] == test["images"] else "."
    if main is None:
        notes.append("No threshold, hence ranking alone: give validation predictions or a threshold.")
    else:
        chosen = metrics["operating_points"][main]
        origin = f"{chosen['rule']}, chosen on validation" if chosen["chosen_on"] == "validation" else "as given"
        notes.append(f"Melanoma is called where score >= {chosen['threshold']:g}: {origin}.")
    if any(split["optimistic"] for split in metrics["splits"].values()):
        notes.append("* Optimistic: the model was trained or its threshold chosen on these images.")
    return notes
