"""The tables of the page: the paper's Fig. 5 beside ours, paired comparison, operating points, prevalence."""

from collections.abc import Sequence
from typing import Any

from mole_jax.errors import UserError
from mole_jax.evaluation.comparison import compare
from mole_jax.evaluation.paper_results import PaperRow, read_paper_results
from mole_jax.evaluation.schema import Pair
from mole_jax.evaluation.table import PAPERS, threshold_text
from mole_jax.report.figures.roc_figure import NO_THRESHOLD, chosen_text, main_at, point_name
from mole_jax.report.parts import Part, Row, Table, estimate_columns, estimate_text
from mole_jax.runs.read import Run

COLUMNS = {
    "Accuracy": "accuracy",
    "Precision": "precision",
    "Sensitivity": "sensitivity",
    "Specificity": "specificity",
    "F1": "f1",
    "AUROC": "auroc",
}
# Our model -> the paper's.
PAPER_MODELS = {"logistic": "logistic", "mlp": "mlp", "cnn": "cnn", "cnn_released": "cnn", "transfer": "transfer"}
PAPERS_CAPTION = (
    "The paper's stand below. Its code counted false positives as false negatives and the other way round, so what it "
    "prints as precision is the sensitivity, as sensitivity the precision, and as specificity the negative predictive "
    "value: compare with the corrected columns, whose specificity is derived from the others. Its test set was half "
    "melanomas and its split is suspect, so a lower figure here may be the more honest one. "
)
READINGS = {"printed": "paper, as printed", "corrected": "paper, columns corrected"}


def results_table(runs: Sequence[Run]) -> Part:
    """The paper's Fig. 5: ours, the paper's as printed, and the paper's with its columns put right."""
    rows: list[Row] = []
    ours: list[tuple[Run, str, dict[str, Any]]] = []
    for run in runs:
        rows.append(Row([run.name], "head"))
        for split, figures in run.metrics["splits"].items():
            found = {**figures["operating_points"].get(PAPERS, {}), "auroc": figures["auroc"]}
            ours.append((run, split, found))
            label = split.capitalize() + ("*" if figures["optimistic"] else "")
            rows.append(Row([label, *(estimate_text(found.get(key)) for key in COLUMNS.values())]))
    papers: list[PaperRow] = []
    models = list(
        dict.fromkeys(PAPER_MODELS[run.config["model"]] for run in runs if run.config["model"] in PAPER_MODELS)
    )
    for model in models:
        for reading, label in READINGS.items():
            of_model = [row for row in read_paper_results(reading) if row.model == model]  # type: ignore[arg-type]
            papers += of_model
            rows.append(Row([f"{model}: {label}"], "head"))
            rows += [
                Row([row.split.capitalize(), *(f"{getattr(row, key):.3f}" for key in COLUMNS.values())], "paper")
                for row in of_model
            ]
    caption = (
        "Our figures with 95% intervals, at the paper's threshold (best accuracy). Where melanoma is "
        "rare that threshold calls nearly nothing melanoma: judge by the operating points then. "
        f"{PAPERS_CAPTION if papers else ''}"
        "* optimistic: the model or the threshold was chosen on these images."
    )
    numbers: dict[str, list[Any]] = {
        "source": [run.name for run, _, _ in ours] + [READINGS[row.reading] for row in papers],
        "model": [run.config["model"] for run, _, _ in ours] + [row.model for row in papers],
        "split": [split for _, split, _ in ours] + [row.split for row in papers],
    }
    for key in COLUMNS.values():
        columns = estimate_columns(key, [found.get(key) for _, _, found in ours])
        columns[key] += [getattr(row, key) for row in papers]
        for suffix in ("_low", "_high"):
            columns[key + suffix] += [None] * len(papers)
        numbers |= columns
    title = "The paper's table" if papers else "The paper's measures"
    return Part("results", title, caption, table=Table(["", *COLUMNS], rows), numbers=numbers)


def operating_points_table(runs: Sequence[Run]) -> Part:
    """All frozen thresholds on the test split."""
    heads = {"Sensitivity": "sensitivity", "Specificity": "specificity", "Precision (PPV)": "precision", "NPV": "npv"}
    rows: list[Row] = []
    points: list[tuple[Run, str, dict[str, Any]]] = []
    for run in runs:
        rows.append(Row([run.name], "head"))
        for name, at in run.at.items():
            points.append((run, name, at))
            threshold = f"– ({at['reason']})" if at["threshold"] is None else threshold_text(at["threshold"])
            rows.append(
                Row(
                    [
                        point_name(name),
                        threshold,
                        _expected(run, name),
                        *(estimate_text(at.get(key)) for key in heads.values()),
                    ]
                )
            )
    numbers: dict[str, list[Any]] = {
        "run": [run.name for run, _, _ in points],
        "operating_point": [name for _, name, _ in points],
        "threshold": [at["threshold"] for _, _, at in points],
        "expected_sensitivity": [run.metrics["operating_points"][name].get("expected") for run, name, _ in points],
        "probability_below_target": [run.metrics["operating_points"][name].get("short") for run, name, _ in points],
    }
    for key in heads.values():
        numbers |= estimate_columns(key, [at.get(key) for _, _, at in points])
    if not points:
        return Part("operating-points", "Operating points on the test images", "", missing=NO_THRESHOLD)
    cross_fitted = any(point.get("folds") for run in runs for point in run.metrics["operating_points"].values())
    whole = (
        "Such a threshold is shown as the same rule gives it on the whole file, for new images; the numbers are of the "
        "rule, not of that one threshold. "
    )
    caption = (
        f"{chosen_text(runs)} {whole if cross_fitted else ''}A threshold that just reaches a sensitivity on a few "
        "melanomas often falls short of it on new ones: the third column has the sensitivity to expect there, and "
        "under it how often it is below the aim. Ask what it became on the test images, and what it costs in "
        "specificity."
    )
    table = Table(["", "Threshold", "Expected sensitivity", *heads], rows)
    return Part("operating-points", "Operating points on the test images", caption, table=table, numbers=numbers)


def prevalence_table(runs: Sequence[Run]) -> Part:
    """Predictive values where melanoma is rarer or more common."""
    rows: list[Row] = []
    found: list[tuple[Run, dict[str, Any]]] = []
    for run in runs:
        rows.append(Row([run.name], "head"))
        for row in run.metrics["splits"]["test"].get("prevalence", {"rows": []})["rows"]:
            found.append((run, row))
            risk = "–" if row["risk_at_threshold"] is None else f"{row['risk_at_threshold']:.3f}"
            rows.append(Row([f"{row['prevalence']:.1%}", estimate_text(row["ppv"]), estimate_text(row["npv"]), risk]))
    if not found:
        return Part("prevalence", "Predictive values by prevalence", "", missing="There is no threshold to judge.")
    numbers = {
        "run": [run.name for run, _ in found],
        "prevalence": [row["prevalence"] for _, row in found],
        **estimate_columns("ppv", [row["ppv"] for _, row in found]),
        **estimate_columns("npv", [row["npv"] for _, row in found]),
        "risk_at_threshold": [row["risk_at_threshold"] for _, row in found],
    }
    caption = (
        "The same model at the main threshold, in populations with other shares of melanomas: 1.8% is screening, "
        "11% is HAM10000, 50% the paper's balanced set. The positive predictive value is the share of alarms that "
        "are melanomas; the last column is the risk that a score at the threshold stands for there. All of it assumes "
        "that only the share of melanomas differs (label shift): that melanomas and other lesions look there as they "
        "look here, and are photographed alike. Where other kinds of lesions come, it does not hold."
    )
    if reasons := {run.metrics["splits"]["test"]["prevalence"]["reason"] for run, _ in found} - {None}:
        caption += f" No risk is given where {'; '.join(sorted(reasons))}."
    heads = ["Prevalence", "PPV", "NPV", "Risk at the threshold"]
    return Part("prevalence", "Predictive values by prevalence", caption, table=Table(heads, rows), numbers=numbers)


def comparison_table(runs: Sequence[Run]) -> Part:
    """Paired differences between the runs, where they were judged on the same images."""
    title = "Paired comparison on the test images"
    models = {run.name: run.test for run in runs}
    bootstrap = runs[0].metrics["bootstrap"]
    points = {run.name: run.point(run.main) for run in runs if main_at(run)["threshold"] is not None}
    try:
        result = compare(
            models,
            points if len(points) == len(runs) else None,
            resamples=bootstrap["resamples"],
            seed=bootstrap["seed"],
        )
    except UserError as error:
        return Part("comparison", title, "", missing=f"The runs cannot be compared in pairs: {error}.")
    heads = {"AUROC": "auroc", "Sensitivity": "sensitivity", "Specificity": "specificity", "Accuracy": "accuracy"}
    pairs = result["pairs"]
    rows = [
        Row(
            [
                f"{pair['models'][0]} − {pair['models'][1]}",
                *(estimate_text(pair["difference"].get(key)) for key in heads.values()),
                _p_value(pair),
            ]
        )
        for pair in pairs
    ]
    numbers: dict[str, list[Any]] = {
        "first": [pair["models"][0] for pair in pairs],
        "second": [pair["models"][1] for pair in pairs],
    }
    for key in heads.values():
        numbers |= estimate_columns(f"{key}_difference", [pair["difference"].get(key) for pair in pairs])
        if len(pairs) > 1:
            of_all = [pair["simultaneous"].get(key) for pair in pairs]
            numbers |= estimate_columns(f"{key}_difference_simultaneous", of_all)
    numbers["auroc_p_value_holm"] = [_holm(pair) for pair in pairs]
    caption = (
        "First minus second, with 95% intervals that pair the same lesions: an interval that holds 0 is no difference "
        "that this test set can show. Each model at its own main threshold. p is of Student's t test over lesions."
    )
    if len(pairs) > 1:
        caption += (
            f" p is Holm-corrected for the {len(pairs)} pairs; the intervals are not, each is for itself. In the "
            "numbers stand simultaneous ones too."
        )
    return Part("comparison", title, caption, table=Table(["", *heads, "p, AUROC"], rows), numbers=numbers)


def costs_table(runs: Sequence[Run]) -> list[Part]:
    """The expected cost of an image, and what the highest scores find; none where they were not asked for."""
    heads = ["", "Cost of an image", "Sensitivity", "PPV"]
    rows: list[Row] = []
    found: list[tuple[str, str, dict[str, Any]]] = []
    for run in runs:
        test, of_run = run.metrics["splits"]["test"], list[tuple[str, dict[str, Any]]]()
        if cost := test.get("expected_cost"):
            prices = f"a miss {cost['miss']:g}, a false alarm {cost['false_alarm']:g}"
            of_run += [
                (f"called melanoma: {what} ({prices})", {"cost": cost[f"call_{what}"]}) for what in ("all", "none")
            ]
            of_run += [(point_name(name), {"cost": of}) for name, of in cost["operating_points"].items()]
        for of in test.get("budgets", []):
            text = f"the {of['images']:,} highest scores, from {threshold_text(of['lowest_score'])}"
            of_run.append((text, {"sensitivity": of["sensitivity"], "ppv": of["ppv"]}))
        rows += [Row([run.name], "head")] if of_run else []
        rows += [
            Row([text, *(estimate_text(of[key]) if key in of else "" for key in ("cost", "sensitivity", "ppv"))])
            for text, of in of_run
        ]
        found += [(run.name, text, of) for text, of in of_run]
    if not found:
        return []
    numbers: dict[str, list[Any]] = {"run": [name for name, _, _ in found], "what": [text for _, text, _ in found]}
    for key in ("cost", "sensitivity", "ppv"):
        numbers |= estimate_columns(key, [of.get(key) for _, _, of in found])
    caption = (
        "The mean cost of an image at each threshold, misses and false alarms at the prices that were named, at the "
        "share of melanomas of the test set; and what is found where only the images with the highest scores are "
        "looked at."
    )
    return [Part("costs", "Costs and budgets", caption, table=Table(heads, rows), numbers=numbers)]


def _holm(pair: Pair) -> float | None:
    test = pair["auroc_test"]
    return None if test is None else test["p_value_holm"]


def _expected(run: Run, name: str) -> str:
    point = run.metrics["operating_points"][name]
    if point.get("expected") is None:
        return "–"
    return f"{point['expected']:.3f} (below in {point['short']:.0%})"


def _p_value(pair: Pair) -> str:
    p = _holm(pair)
    return "–" if p is None else f"{p:.3f}" if p >= 0.001 else "< 0.001"
