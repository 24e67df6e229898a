"""The paper's table of metrics (Fig. 5) for the terminal, with intervals."""

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
WIDTH = 100


def format_table(metrics: Mapping[str, Any]) -> str:
    """Lays out a metrics.json dictionary: warnings, the paper's table at the main threshold, other thresholds.

    At most `WIDTH` characters wide; values over their 95 % intervals.
    """
    splits, main = metrics["splits"], metrics["main_operating_point"]
    lines = _banner(metrics)
    for name, split in splits.items():
        lines.append(f"{name.capitalize():<11}{_size(split)}")
    lines.append("")
    columns = {head: key for head, key in COLUMNS.items() if main or key == "auroc"}
    rows = [
        (
            name.capitalize() + ("*" if split["optimistic"] else ""),
            [_find(split, main, key) for key in columns.values()],
        )
        for name, split in splits.items()
    ]
    lines += _grid("", list(columns), rows)
    lines += ["", *_notes(metrics)]
    others = {name: point for name, point in splits["test"]["operating_points"].items() if name != main}
    if others:
        heads = ["Sensitivity", "Specificity", "Precision", "NPV"]
        rows = [(_label(name, point), [point.get(head.lower()) for head in heads]) for name, point in others.items()]
        lines += ["", *_grid("Test at other thresholds", heads, rows)]
    return "\n".join(line.rstrip() for line in lines)


def format_figure(figure: Mapping[str, Any] | None) -> tuple[str, str]:
    """A figure as two short texts: its value and its interval."""
    if figure is None or figure["value"] is None:
        return "–", ""
    interval = "" if figure["low"] is None else f"{figure['low']:.3f}–{figure['high']:.3f}"
    return f"{figure['value']:.3f}", interval


def _banner(metrics: Mapping[str, Any]) -> list[str]:
    lines = []
    for warning in metrics["warnings"]:
        loud = warning.startswith("LEAK")
        mark = "!!! " if loud else "note: "
        text = textwrap.wrap(warning, WIDTH - len(mark), break_long_words=False)
        lines += [mark + text[0], *(" " * (0 if loud else len(mark)) + ("!!! " if loud else "") + t for t in text[1:])]
    return [*lines, ""] if lines else []


def _size(split: Mapping[str, Any]) -> str:
    share = split["positives"] / split["images"]
    lesions = "" if split["grouped_by"] == "image_id" else f" of {split['groups']:,} lesions"
    melanoma = "melanoma" if split["positives"] == 1 else "melanomas"
    return f"{split['images']:,} images{lesions}, {split['positives']:,} {melanoma} ({share:.1%})"


def _find(split: Mapping[str, Any], main: str | None, key: str) -> Mapping[str, Any] | None:
    found = split[key] if key == "auroc" else split["operating_points"][main].get(key)
    return found if found is None or isinstance(found, Mapping) else None


def _label(name: str, point: Mapping[str, Any]) -> str:
    threshold = "none" if point["threshold"] is None else f">= {point['threshold']:.4f}"
    return f"{name.replace('_', ' >= ')}\n{threshold}"


def _grid(
    title: str, heads: Sequence[str], rows: Sequence[tuple[str, Sequence[Mapping[str, Any] | None]]]
) -> list[str]:
    first = max(9, len(title), *(len(part) for label, _ in rows for part in label.split("\n"))) + 2
    rule = "─" * (first + 13 * len(heads))
    lines = [f"{title:<{first}}" + "".join(f"{head:>13}" for head in heads), rule]
    for label, figures in rows:
        top, bottom = (*label.split("\n"), "")[:2]
        texts = [format_figure(figure) for figure in figures]
        lines.append(f"{top:<{first}}" + "".join(f"{value:>13}" for value, _ in texts))
        lines.append(f"{bottom:<{first}}" + "".join(f"{interval:>13}" for _, interval in texts))
    return [*lines[:-1], lines[-1], rule] if rows else lines


def _notes(metrics: Mapping[str, Any]) -> list[str]:
    test, bootstrap = metrics["splits"]["test"], metrics["bootstrap"]
    unit = "images" if test["grouped_by"] == "image_id" else "lesions"
    notes = [
        f"Intervals: 95 %, {bootstrap['resamples']:,} bootstrap resamples of {unit} within class.",
        "Wilson's interval for proportions where each lesion has one image.",
    ]
    main = metrics["main_operating_point"]
    if main is None:
        notes.append("No thresholds, hence AUROC alone: give validation predictions or a threshold.")
    else:
        chosen = metrics["operating_points"][main]
        origin = f"{chosen['rule']}, chosen on validation" if chosen["chosen_on"] == "validation" else "as given"
        notes.append(f"Threshold {chosen['threshold']:g}: {origin}.")
    if any(split["optimistic"] for split in metrics["splits"].values()):
        notes.append("* optimistic: the model or the threshold was chosen on these images.")
    return notes
