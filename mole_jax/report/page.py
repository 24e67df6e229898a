"""The page: one self-contained HTML file over one run or several, and its figures as files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from mole_jax.report.checklist import STATES, TRIPOD_AI, checklist
from mole_jax.report.contrasts import contrasts_tables
from mole_jax.report.explanation.explanation_page import explanation_parts
from mole_jax.report.external import external_parts
from mole_jax.report.figures.calibration_figure import calibration_figure
from mole_jax.report.figures.confusion_figure import confusion_figure
from mole_jax.report.figures.decision_figure import decision_figure
from mole_jax.report.figures.roc_figure import chosen_text, roc_figure
from mole_jax.report.figures.score_figure import score_figure
from mole_jax.report.figures.subgroup_figure import subgroup_figures
from mole_jax.report.figures.training_figure import training_figures
from mole_jax.report.figures.weight_figure import weight_figure
from mole_jax.report.files import refuse_foreign_page, write_page
from mole_jax.report.given import from_files, read_given
from mole_jax.report.mistakes import mistakes
from mole_jax.report.parts import Part
from mole_jax.report.probing import probing_parts
from mole_jax.report.render import render
from mole_jax.report.seeds import seeds_tables
from mole_jax.report.summary import summarise
from mole_jax.report.tables import (
    comparison_table,
    costs_table,
    operating_points_table,
    prevalence_table,
    results_table,
)
from mole_jax.runs.read import Run

MANY: Final = 8  # runs; of more, a page shows what they have in common


@dataclass(frozen=True)
class Section:
    """A heading and what stands under it."""

    name: str
    title: str
    parts: Sequence[Part]


def write_report(runs: Sequence[Path], out: Path, *, data_dir: Path | None = None) -> Path:
    """Writes the page, and its figures and numbers as files into `figures/` beside it.

    Args:
        runs: directories of finished runs, or folders of judged files (`evaluation.folder`).
        out: the HTML file.
        data_dir: where prepared datasets lie, for photographs; None: where each run found its own.

    Returns:
        `out`.

    Raises:
        UserError: a directory is neither, or one of its files has changed; or `out` is there and no page.
    """
    refuse_foreign_page(out)
    read = read_given(runs, data_dir)
    sections = _sections(read)
    write_page(_render(read, sections), [part for section in sections for part in section.parts], out)
    return out


def _sections(runs: Sequence[Run]) -> list[Section]:
    if len(runs) > MANY:
        return _overview(runs)
    compared = [comparison_table(runs)] if len(runs) > 1 else []
    elsewhere = external_parts(runs)
    trained = [run for run in runs if not from_files(run)]
    single = [run for run in trained if "repeats" not in run.metrics]  # an ensemble has no epochs of its own
    probes = probing_parts(trained)
    explained = [part for run in single for part in explanation_parts(run)]
    linear = [weight_figure(run) for run in runs if run.config["model"] == "logistic"]
    return [
        *([Section("by-epoch", "Training", training_figures(single))] if single else []),
        Section(
            "discrimination",
            "Telling melanomas from the rest",
            [roc_figure(runs), *seeds_tables(runs), operating_points_table(runs)],
        ),
        Section("table", _paper(trained), [results_table(runs), *compared]),
        Section("errors", "Right and wrong", [confusion_figure(runs), score_figure(runs)]),
        Section("risk", "What a score means", [calibration_figure(runs), prevalence_table(runs)]),
        *([Section("external", "On other images", elsewhere)] if elsewhere else []),
        Section("benefit", "Is it of use?", [decision_figure(runs), *costs_table(runs)]),
        Section("for-whom", "For whom does it work?", [*subgroup_figures(runs), *contrasts_tables(runs)]),
        Section("worst", "The most confident mistakes", [part for run in runs for part in mistakes(run)]),
        *([Section("probes", "What does it look at besides the lesion?", probes)] if probes else []),
        *([Section("explained", "What do its scores rest on?", explained)] if explained else []),
        *([Section("weights", "What the linear model looks at", linear)] if linear else []),
    ]


def _overview(runs: Sequence[Run]) -> list[Section]:
    """What can be seen of many runs at once; each one's own figures would make a page that nobody can open."""
    trained, elsewhere = [run for run in runs if not from_files(run)], external_parts(runs)
    pairs = (
        f"{len(runs)} runs make {len(runs) * (len(runs) - 1) // 2} pairs, too many to tell chance from difference; "
        "compare those that you chose beforehand: python -m experiments.compare --runs=A,B."
    )
    alone = (
        f"Training, errors, calibration, subgroups and mistakes are shown for up to {MANY} runs; python -m "
        "experiments.report --runs=RUN makes the page of one."
    )
    return [
        Section("discrimination", "Telling melanomas from the rest", [roc_figure(runs), operating_points_table(runs)]),
        Section(
            "table",
            _paper(trained),
            [results_table(runs), Part("comparison", "Paired comparison on the test images", "", missing=pairs)],
        ),
        Section("risk", "What a score means", [prevalence_table(runs)]),
        *([Section("external", "On other images", elsewhere)] if elsewhere else []),
        Section("benefit", "Is it of use?", [decision_figure(runs), *costs_table(runs)]),
        Section(
            "each", "Each run by itself", [Part("each-run", "Left out of a page over many runs", "", missing=alone)]
        ),
    ]


def _paper(trained: Sequence[Run]) -> str:
    return "The paper's table, ours beside it" if trained else "The paper's measures"


def _render(runs: Sequence[Run], sections: Sequence[Section]) -> str:
    many = len(runs) > MANY
    # The checklist asks about training, of which a judged file says nothing.
    items = [] if any(map(from_files, runs)) else checklist(runs)
    return render(
        "report.html",
        title="Mole or melanoma: " + (f"{len(runs)} runs" if many else ", ".join(run.name for run in runs)),
        many=many,
        summaries=[summarise(run, runs) for run in runs],
        synthetic=[run.name for run in runs if run.synthetic],
        photographs=any(
            panel.kind == "jpeg" and panel.content for s in sections for p in s.parts for panel in p.panels
        ),
        sections=sections,
        chosen=chosen_text(runs),
        checklist=items,
        tripod_ai=TRIPOD_AI,
        filled={state: sum(item.state == state for item in items) for state in STATES},
    )
