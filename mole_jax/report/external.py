"""The section about images that a run was not trained on: what becomes of its thresholds and its calibration."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from mole_jax.evaluation.predictions import Predictions
from mole_jax.evaluation.statistics.intervals import Estimate, difference_of
from mole_jax.evaluation.table import size_text, threshold_text
from mole_jax.report.figures.calibration_figure import MEASURES, calibration_panel
from mole_jax.report.figures.drawing import GREY, draw, series, shortened
from mole_jax.report.figures.roc_figure import curve_of, point_name
from mole_jax.report.parts import Panel, Part, Row, Table, estimate_columns, estimate_text
from mole_jax.runs.read import External, Run

AT = {"Sensitivity": "sensitivity", "Specificity": "specificity", "Precision (PPV)": "precision", "NPV": "npv"}
SCALINGS = {"before": "scores as given", "after_temperature": "temperature-scaled", "after_platt": "Platt-scaled"}


def external_parts(runs: Sequence[Run]) -> list[Part]:
    """One part for each run and dataset that it was validated on; none where there are none."""
    return [_part(run, external) for run in runs for external in run.external]


def _part(run: Run, external: External) -> Part:
    name, title = f"external-{run.key}-{external.key}", f"{run.name} on {external.name}"
    metrics = external.metrics
    if metrics["operating_points"] != run.metrics["operating_points"]:
        why = "These results are not of the run's present thresholds; run python -m experiments.evaluate --run again."
        return Part(name, title, "", missing=why)
    rows, numbers = _rows(run, external)
    return Part(
        name,
        title,
        "Nothing was chosen or fitted on these images. The last column is the other set less the run's own test "
        "images, which have no lesion in common, with its 95% interval. Every number goes with the kind of lesions "
        "that are there: PPV and NPV with the share of melanomas, AUROC, sensitivity and specificity with how hard "
        "melanomas and other lesions are to tell apart. So a difference may be of the model or of the cases.",
        [panel for panel in (_roc(run, external, name), _calibration(external, name)) if panel],
        Table(["", "own test images", external.name, "difference"], rows),
        numbers,
        lead=_left_out(metrics) + _in_words(run, metrics),
        warning=" ".join(warning for warning in metrics["warnings"] if warning.startswith("LEAK")),
    )


def _left_out(metrics: Mapping[str, Any]) -> str:
    """How many images are in no number because the run has seen them."""
    about = metrics["external"]
    if not (excluded := about.get("excluded", 0)):
        return ""
    seen = f"{excluded:,} of {about['overlap']['of']:,} images are in none of these numbers: the run knows them"
    return f"{seen} (excluded.csv). "


def _in_words(run: Run, metrics: Mapping[str, Any]) -> str:
    """What a clinician asks first: how many, how many found, how many alarms for nothing, what a score means."""
    test, at = metrics["splits"]["test"], metrics["splits"]["test"]["operating_points"][run.main]
    share = test["positives"] / test["images"]
    words = f"{size_text(test)}. "
    if at["threshold"] is not None:
        cells, aim, lesions = at["confusion"], point_name(run.main), ""
        if "by_lesion" in test:
            of = test["by_lesion"]["maximum"]["operating_points"][run.main]["confusion"]
            found, all_ = of["tp"], of["tp"] + of["fn"]
            others, alarms = of["fp"] + of["tn"], of["fp"]
            lesions = (
                f"By lesion, called by the highest score of its images, it finds {found:,} of {all_:,} melanomas, with "
                f"false alarms at {alarms:,} of {others:,} other lesions. "
            )
        words += (
            f"At the threshold for {aim}, the run finds {cells['tp']:,} of the {test['positives']:,} images of "
            f"melanomas, misses {cells['fn']:,}, and raises {cells['fp']:,} false alarms among the "
            f"{test['negatives']:,} other images. {lesions}"
        )
    if test["auroc"]["value"] is not None:
        words += (
            "Of an image of a melanoma and another image drawn at random, it gives the melanoma the higher score in "
            f"{test['auroc']['value']:.0%} of the cases ({_interval(test['auroc'])}own test images: "
            f"{estimate_text(run.metrics['splits']['test']['auroc'], 2)}). "
        )
    key = "after_platt" if "after_platt" in test["calibration"] else "before"
    bins = test["calibration"][key]["bins"]
    mean = sum(row["images"] * row["mean_score"] for row in bins) / sum(row["images"] for row in bins)
    return words + f"Its {SCALINGS[key]} risks average {mean:.1%} where {share:.1%} are melanomas."


def _interval(estimate: Mapping[str, Any]) -> str:
    return "" if estimate["low"] is None else f"95% interval {estimate['low']:.0%} to {estimate['high']:.0%}; "


def _rows(run: Run, external: External) -> tuple[list[Row], dict[str, list[Any]]]:
    own, theirs = (metrics["splits"]["test"] for metrics in (run.metrics, external.metrics))
    sides = (own, theirs)
    rows = [
        Row(["Images", f"{own['images']:,}", f"{theirs['images']:,}", ""]),
        Row(["of melanomas", *(f"{of['positives']:,} ({of['positives'] / of['images']:.1%})" for of in sides), ""]),
        Row(["Lesions", *(f"{of['groups']:,}" for of in sides), ""]),
        Row(["with melanoma", *(f"{of['positive_groups'] + of['mixed_groups']:,}" for of in sides), ""]),
    ]
    figures = {("", "AUROC"): (own["auroc"], theirs["auroc"])}
    for name, at in theirs["operating_points"].items():
        if at["threshold"] is None:
            continue
        threshold = f", score ≥ {threshold_text(at['threshold'])}"
        for label, key in AT.items():
            pair = (own["operating_points"][name].get(key), at.get(key))
            figures[f"Threshold: {point_name(name)}{threshold}", label] = pair
    for key, label in SCALINGS.items():
        for measure, of in MEASURES.items():
            pair = tuple(side["calibration"].get(key, {}).get(of) for side in (own, theirs))
            if pair[1] is not None:
                figures[f"Calibration: {label}", measure] = pair
    head = ""
    differences: list[Estimate | None] = []
    for (above, label), pair in figures.items():
        if above and above != head:
            rows.append(Row([above], "head"))
        head = above
        differences.append(None if None in pair else difference_of(pair[1], pair[0]))
        rows.append(Row([label, *(estimate_text(estimate) for estimate in pair), estimate_text(differences[-1])]))
    numbers: dict[str, list[Any]] = {
        "group": [above for above, _ in figures],
        "measure": [label for _, label in figures],
        **estimate_columns("own_test", [own for own, _ in figures.values()]),
        **estimate_columns("external", [theirs for _, theirs in figures.values()]),
        **estimate_columns("difference", differences),
    }
    return rows, numbers


def _roc(run: Run, external: External, name: str) -> Panel | None:
    sides: list[tuple[str, Predictions, Mapping[str, Any]]] = [
        ("own test images", run.test, run.metrics["splits"]["test"]),
        (external.name, external.predictions, external.metrics["splits"]["test"]),
    ]
    drawn = [side for side in sides if 0 < side[1].label.sum() < side[1].n]
    if not drawn:
        return None

    def plot(axes: Axes) -> None:
        for (label, predictions, figures), look in zip(drawn, series(), strict=False):
            false_alarms, sensitivity, _ = curve_of(predictions)
            text = f"{shortened(label)}, AUROC {estimate_text(figures['auroc'])}"
            axes.plot(false_alarms, sensitivity, look.linestyle, color=look.color, label=text)
            at = figures["operating_points"][run.main]
            if at["threshold"] is not None:
                axes.plot(1 - at["specificity"]["value"], at["sensitivity"]["value"], "s", color=look.color)
        axes.plot([0, 1], [0, 1], color=GREY, linestyle=(0, (1, 3)), label="chance")
        axes.set_xlabel("1 − specificity (others called melanoma)")
        axes.set_ylabel("sensitivity (melanomas found)")

    said = "; ".join(f"{label} {estimate_text(figures['auroc'])}" for label, _, figures in drawn)
    label = f"ROC; squares: the frozen threshold for {point_name(run.main)}"
    return Panel(f"{name}-roc", f"ROC curves. AUROC {said}.", draw(f"{name}-roc", plot, size=(4.4, 4.0)), label=label)


def _calibration(external: External, name: str) -> Panel:
    calibration = external.metrics["splits"]["test"]["calibration"]
    return calibration_panel(f"{name}-calibration", calibration, label=f"what a score means on {external.name}")
