"""The most confident mistakes of the test split."""

import numpy as np

from mole_jax.evaluation.cross_fitting import cutoff
from mole_jax.evaluation.table import threshold_text
from mole_jax.report.figures.roc_figure import NO_THRESHOLD, main_at, point_name
from mole_jax.report.parts import Part
from mole_jax.report.photographs import photograph
from mole_jax.runs.read import Run

EACH = 6


def mistakes(run: Run) -> list[Part]:
    """The melanomas with the lowest scores and the other images with the highest, at the main threshold."""
    title = f"Most confident mistakes: {run.name}"
    if main_at(run)["threshold"] is None:
        return [Part(f"missed-{run.key}", title, "", missing=NO_THRESHOLD)]
    test, point = run.test, run.point(run.main)
    called = test.score >= cutoff(point, test)
    order = np.argsort(test.score, kind="stable")
    missed = [int(i) for i in order if test.label[i] == 1 and not called[i]]
    false_alarms = [int(i) for i in order[::-1] if test.label[i] == 0 and called[i]]
    at = f"at the threshold for {point_name(run.main)}, "
    at += "cross-fitted" if point.folds else threshold_text(run.at[run.main]["threshold"])
    return [
        _part(run, "missed", f"Most confident misses: {run.name}", missed, f"melanomas were missed {at}"),
        _part(
            run,
            "alarms",
            f"Most confident false alarms: {run.name}",
            false_alarms,
            f"images without melanoma were called melanoma {at}",
        ),
    ]


def _part(run: Run, kind: str, title: str, mistaken: list[int], what: str) -> Part:
    name = f"{kind}-{run.key}"
    if not mistaken:
        return Part(name, title, "", missing=f"No {what}.")
    test, shown = run.test, mistaken[:EACH]
    panels = [photograph(run, i, name=f"{name}-{rank}") for rank, i in enumerate(shown, 1)]
    caption = (
        f"{len(mistaken):,} {what}; these {len(shown)} are the furthest from it. Look for what they share: hair, "
        f"ink, a ruler, a dark corner, pale skin, or a label that one may doubt. {run.images.reason}"
    )
    numbers = {
        "image_id": test.image_id[mistaken].tolist(),
        "label": test.label[mistaken].tolist(),
        "score": test.score[mistaken].tolist(),
        **{key: column[mistaken].tolist() for key, column in test.metadata.items()},
    }
    return Part(name, title, caption.strip(), panels, numbers=numbers, layout="small")
