"""The page about what a run's scores rest on, and the section about it in the run's own report."""

from pathlib import Path
from typing import Final

from mole_jax.report.explanation.components_figures import components_parts
from mole_jax.report.explanation.maps import pictures, verdict
from mole_jax.report.explanation.tests_figures import cascade_figure, hiding_figure
from mole_jax.report.files import refuse_foreign_page, write_page
from mole_jax.report.parts import Part
from mole_jax.report.render import render
from mole_jax.runs.explanation import FOLDER, read_components, read_saliency
from mole_jax.runs.read import Run, read_runs

PAGE: Final = "report.html"
EACH: Final = 2  # melanomas of each kind in the run's own report


def write_explanation_page(run_dir: Path) -> Path:
    """Writes `explain/report.html` into a run's directory, its figures and numbers beside it.

    Args:
        run_dir: of a finished run with results of `studies.explain`.

    Returns:
        The page.

    Raises:
        UserError: the run is not finished or damaged, or the page is there and none of ours.
    """
    out = run_dir / FOLDER / PAGE
    refuse_foreign_page(out)
    run = read_runs([run_dir], None)[0]
    saliency, components = read_saliency(run_dir), read_components(run_dir)
    sections: list[tuple[str, str, list[Part]]] = []
    if saliency is not None:
        sections += [
            ("verdict", "Can the maps be believed?", [verdict(run, saliency)]),
            ("pictures", "Melanomas and their maps", pictures(run, saliency)),
            ("tests", "The tests", [cascade_figure(run, saliency), hiding_figure(run, saliency)]),
        ]
    if components is not None:
        sections.append(("components", "Principal components", components_parts(run, components)))
    html = render(
        "explanation.html",
        title=f"What {run.name} looks at",
        run=run,
        saliency=saliency,
        components=components,
        sections=sections,
    )
    write_page(html, [part for _, _, parts in sections for part in parts], out)
    return out


def explanation_parts(run: Run) -> list[Part]:
    """The section of a run's own report; nothing where the run was not explained."""
    found = read_saliency(run.path)
    return [] if found is None else [verdict(run, found), *pictures(run, found, most=EACH)]
