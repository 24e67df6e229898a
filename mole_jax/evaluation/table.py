"""The paper's table of metrics (Fig. 5) for the terminal, with intervals, and the estimates beside it."""

import math
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
    "Partial AUROC": "partial_auroc",
    "Avg. precision": "average_precision",
    "NPV": "npv",
    "Bal. accuracy": "balanced_accuracy",
    "AUROC, DeLong**": "auroc_delong",
}
AT_OTHERS = {"Sensitivity": "sensitivity", "Specificity": "specificity", "Precision": "precision", "NPV": "npv"}
OF_LESIONS = {"AUROC": "auroc", **AT_OTHERS}
CALIBRATION = {
    "Brier": "brier",
    "Log loss": "log_loss",
    "O:E": "observed_expected",
    "In the large": "in_the_large",
    "Slope": "slope",
    "ECE": "ece",
}
UNITS = {"image_id": "images", "lesion_id": "lesions", "patient_id": "patients", "group": "groups"}
PAPERS = "accuracy"  # the paper's threshold
DIGITS = 3
MOST_DIGITS = 6
CELL = 16
WIDTH = 108


def format_table(metrics: Mapping[str, Any]) -> str:
    """Lays out a metrics.json dictionary: warnings, the main threshold's numbers, the paper's table, more of the test.

    At most `WIDTH` characters wide; values over their 95 % intervals.
    """
    splits, main, test = metrics["splits"], metrics["main_operating_point"], metrics["splits"]["test"]
    sizes = [f"{name.capitalize():<12}{size_text(split)}" for name, split in splits.items()]
    blocks = [
        banner(metrics["warnings"]),
        sizes,
        grid("", COLUMNS, _rows(splits, main)),
        _notes(metrics),
        _over_seeds(metrics.get("repeats")),
        grid("", RANKING, {"Test": _at(test, main)}),
        grid("At other thresholds", AT_OTHERS, _others(metrics)),
        grid("One score a lesion", OF_LESIONS, _lesions(test, main)),
        grid("Calibration", CALIBRATION, _calibration(test["calibration"])),
        *_asked_for(test),
        _footnotes(test, main),
    ]
    if main not in (None, PAPERS) and PAPERS in test["operating_points"]:
        blocks.insert(7, grid("The paper's", COLUMNS, _rows(splits, PAPERS)))
    return "\n\n".join("\n".join(line.rstrip() for line in block) for block in blocks if block)


def format_estimate(estimate: Mapping[str, Any] | None) -> tuple[str, str]:
    """An estimate as two short texts: its value and its interval."""
    if estimate is None or estimate["value"] is None:
        return "–", ""
    if estimate["low"] is None:
        return f"{estimate['value']:.{DIGITS}f}", ""
    low, high = format_bounds(estimate)
    return f"{estimate['value']:.{digits_of(estimate)}f}", f"{low}{' to ' if estimate['low'] < 0 else '–'}{high}"


def format_bounds(estimate: Mapping[str, Any], *, sign: str = "") -> tuple[str, str]:
    """The ends of an interval with as many digits as keep them apart.

    Args:
        estimate: one that has an interval.
        sign: `+` to show it before positive numbers too.
    """
    digits = digits_of(estimate)
    return f"{estimate['low']:{sign}.{digits}f}", f"{estimate['high']:{sign}.{digits}f}"


def digits_of(estimate: Mapping[str, Any], digits: int = DIGITS) -> int:
    """Decimals of an estimate: `digits`, or more where both ends of its interval would read the same."""
    low, high = estimate["low"], estimate["high"]
    if low is None:
        return digits
    while digits < MOST_DIGITS and f"{low:.{digits}f}" == f"{high:.{digits}f}":
        digits += 1
    return digits


def threshold_text(threshold: float) -> str:
    """A threshold with three significant digits, however small: 0.000712."""
    if threshold == 0 or threshold >= 0.1:
        return f"{threshold:.3f}"
    if threshold < 1e-6:
        return f"{threshold:.2e}"
    return f"{threshold:.{2 - math.floor(math.log10(threshold))}f}"


def size_text(split: Mapping[str, Any]) -> str:
    """Images, lesions (or patients) and melanomas of a split: the latter as images and, where known, as lesions."""
    share = split["positives"] / split["images"]
    unit = UNITS[split["grouped_by"]]
    if unit == "images":
        return f"{split['images']:,} images, {split['positives']:,} of them melanoma ({share:.1%})"
    melanomas = split["positive_groups"] + split["mixed_groups"]
    return (
        f"{split['images']:,} images of {split['groups']:,} {unit}; {split['positives']:,} images "
        f"of {melanomas:,} {unit} are melanoma ({share:.1%} of the images)"
    )


def _rows(splits: Mapping[str, Any], point: str | None) -> dict[str, Mapping[str, Any]]:
    return {
        name.capitalize() + ("*" if split["optimistic"] else ""): _at(split, point) for name, split in splits.items()
    }


def banner(warnings: Sequence[str]) -> list[str]:
    """Warnings as lines, those of leaks loudly."""
    lines = []
    for warning in warnings:
        first, rest = ("!!! ", "!!! ") if warning.startswith("LEAK") else ("note: ", "      ")
        lines += textwrap.wrap(warning, WIDTH, initial_indent=first, subsequent_indent=rest, break_long_words=False)
    return lines


def _at(split: Mapping[str, Any], main: str | None) -> Mapping[str, Any]:
    return {**split, **(split["operating_points"][main] if main else {})}


def _others(metrics: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The other thresholds, those that coincide in one row."""
    at, main = metrics["splits"]["test"]["operating_points"], metrics["main_operating_point"]
    names: dict[Any, list[str]] = {}
    for name, point in at.items():
        if name not in (main, PAPERS):
            folds = metrics["operating_points"][name].get("folds", ())
            key = name if point["threshold"] is None else (point["threshold"], *folds)
            names.setdefault(key, []).append(name)
    rows = {}
    for key, of in names.items():
        score = "none"
        if not isinstance(key, str):
            score = f"{'new images: ' if len(key) > 1 else 'score '}>= {threshold_text(key[0])}"
        texts = [name.replace("_", " >= ") for name in of]
        same = ", ".join([texts[0], *(text.removeprefix("sensitivity ") for text in texts[1:])])
        rows[f"{same}\n{score}"] = at[of[0]]
    return rows


def _lesions(test: Mapping[str, Any], main: str | None) -> dict[str, Mapping[str, Any]]:
    """One row a way of making one score of a lesion's images; none where each lesion has one image."""
    if "by_lesion" not in test:
        return {}
    names = {"mean": "mean of its images", "maximum": "maximum of them"}
    return {text: _at(test["by_lesion"][key], main) for key, text in names.items()}


def _calibration(calibration: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    rows = {"as given": calibration["before"]}
    if "after_temperature" in calibration:
        rows[f"temperature\n{calibration['temperature']['value']:.2f}"] = calibration["after_temperature"]
    if "after_platt" in calibration:
        rows["Platt"] = calibration["after_platt"]
    if calibration.get("fitted_on") == "cross-fitted":
        rows = {
            name if name == "as given" else f"{name.splitlines()[0]}\ncross-fitted": of for name, of in rows.items()
        }
    return rows


def _asked_for(test: Mapping[str, Any]) -> list[list[str]]:
    """Tables that are there where their flags were given: the cost of an image, and what a budget finds."""
    blocks = []
    if "expected_cost" in test:
        cost = test["expected_cost"]
        title = f"Cost of an image, a miss {cost['miss']:g}, a false alarm {cost['false_alarm']:g}"
        points = {"called melanoma: all": cost["call_all"], "called melanoma: none": cost["call_none"]}
        points |= {name.replace("_", " >= "): of for name, of in cost["operating_points"].items()}
        blocks.append(grid(title, {"Cost": "cost"}, {name: {"cost": of} for name, of in points.items()}))
    if "budgets" in test:
        rows = {f"{of['images']:,} images\nscore >= {threshold_text(of['lowest_score'])}": of for of in test["budgets"]}
        blocks.append(grid("The highest scores", {"Sensitivity": "sensitivity", "PPV": "ppv"}, rows))
    return blocks


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
            lines.append(f"{name:<{first}}" + "".join(f"{_fitted(text[line], cell):>{cell}}" for text in texts))
    return lines


def _fitted(text: str, cell: int) -> str:
    """An interval that leaves room between columns."""
    return text if len(text) < cell else text.replace(" to ", "…")


def _over_seeds(repeats: Mapping[str, Any] | None) -> list[str]:
    """Each seed's AUROC, their mean and spread; none where the run has one seed."""
    if repeats is None:
        return []
    splits = repeats["splits"]
    heads = {f"{split.capitalize()} AUROC": split for split in splits}
    rows = {f"seed {seed}": {s: of["auroc"][i] for s, of in splits.items()} for i, seed in enumerate(repeats["seeds"])}
    rows["mean"] = {split: of["mean"] for split, of in splits.items()}
    spread = ", ".join(f"{split} {of['deviation']:.4f}" for split, of in splits.items() if of["deviation"] is not None)
    note = (
        f"Everything else is about their ensemble, the mean of their logits. Standard deviation over seeds: {spread}."
    )
    return [*grid("Over seeds", heads, rows, cell=20), *textwrap.wrap(note, WIDTH)]


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    main = metrics["main_operating_point"]
    notes = ["Below each value its 95 % interval."]
    if main is None:
        notes.append("No threshold, hence ranking alone: give validation predictions or a threshold.")
    else:
        chosen = metrics["operating_points"][main]
        notes += textwrap.wrap(called_text(chosen), WIDTH)
        if chosen.get("expected") is not None:
            notes += textwrap.wrap(expected_text(chosen), WIDTH)
    if any(split["optimistic"] for split in metrics["splits"].values()):
        notes.append("* Optimistic: the model was trained or its threshold chosen on these images.")
    return notes


def called_text(point: Mapping[str, Any]) -> str:
    """What is called melanoma at an operating point, in one sentence."""
    if not point.get("folds"):
        origin = f"{point['rule']}, chosen on validation" if point["chosen_on"] == "validation" else "as given"
        return f"Melanoma is called where score >= {threshold_text(point['threshold'])}: {origin}."
    low, high = (threshold_text(of(point["folds"])) for of in (min, max))
    return (
        f"CROSS-FITTED: melanoma is called where the score reaches the {point['rule']} of the other folds ({low} to "
        f"{high}); the same rule on the whole file gives {threshold_text(point['threshold'])}, for new images. "
        "The numbers are of the rule, not of that one threshold."
    )


def expected_text(point: Mapping[str, Any]) -> str:
    """What a threshold that was chosen for a sensitivity will have on new lesions, in one sentence."""
    return (
        f"A threshold so chosen on so many melanomas has on new lesions a sensitivity of {point['expected']:.3f} on "
        f"average, and falls short of {point['target']:g} in {point['short']:.0%} of the cases."
    )


def _footnotes(test: Mapping[str, Any], main: str | None) -> list[str]:
    unit = UNITS[test["grouped_by"]]
    lines = [
        f"Intervals: AUROC and partial AUROC from the variance between {unit}; shares by Wilson's method for the "
        "effective number of images; F1, average precision, Brier and log loss from "
        f"{test['resamples']:,} bootstrap resamples of {unit} of any class, so with the share of melanomas uncertain "
        "too.",
        "The paper's: at its threshold, the one of best accuracy"
        + (", cross-fitted." if test["calibration"].get("fitted_on") == "cross-fitted" else " on validation."),
        "In the large: what is to be added to the logits, slope held at 1; ECE: its upward drift removed.",
    ]
    if test["groups"] < test["images"]:
        lines.append("** DeLong takes images of one lesion as independent, which they are not here: too narrow.")
    else:
        lines.append("** DeLong's own interval, for comparison with other software.")
    left_out = {
        name: of["undefined_resamples"] for name, of in _shown(test, main).items() if "undefined_resamples" in of
    }
    if left_out:
        counts = ", ".join(f"{name} {count:,}" for name, count in left_out.items())
        lines.append(f"Resamples in which a number is undefined, and which its interval leaves out: {counts}.")
    missing: dict[tuple[str, str], list[str]] = {}
    for name, estimate in _shown(test, main).items():
        if estimate["low"] is None:
            what = "No" if estimate["value"] is None else "No interval of"
            missing.setdefault((what, estimate["reason"]), []).append(name)
    lines += [f"{what} {', '.join(names)}: {reason}." for (what, reason), names in missing.items()]
    return [part for line in lines for part in textwrap.wrap(line, WIDTH)]


def _shown(test: Mapping[str, Any], main: str | None) -> dict[str, Mapping[str, Any]]:
    """The test split's estimates that the tables show, by their heads."""
    at, before = _at(test, main), test["calibration"]["before"]
    heads = {head.rstrip("*"): at.get(key) for head, key in {**COLUMNS, **RANKING}.items()}
    heads |= {head: before[key] for head, key in CALIBRATION.items()}
    return {head: estimate for head, estimate in heads.items() if estimate is not None}
