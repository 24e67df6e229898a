"""A reproduction for the terminal, as Markdown and as JSON."""

import textwrap
from pathlib import Path
from typing import Any

from mole_jax.evaluation.table import WIDTH, grid
from mole_jax.files.sums import claim, seal
from mole_jax.files.writing import write_json, write_text
from mole_jax.report.parts import estimate_text
from mole_jax.report.reproduction.reproduction import WORDS, Comparison, epochs_of, grid_parts
from mole_jax.report.tables import COLUMNS

REPRODUCTION = "reproduction"  # the kind of its files
CELL = 13  # characters of a column on the terminal


def format_comparison(comparison: Comparison) -> str:
    """For the terminal, at most 108 characters wide: values over their 95 % intervals."""
    blocks = []
    for label, lines in comparison.models.items():
        rows = {line.name: line.figures for line in lines if line.figures}
        blocks.append("\n".join(row.rstrip() for row in grid(label, COLUMNS, rows, cell=CELL)))
        if missing := "; ".join(f"{line.name}: {line.missing}" for line in lines if line.missing):
            blocks.append("\n".join(textwrap.wrap(missing, WIDTH)))
    notes = [
        "On test images, at the threshold with the best accuracy on validation; below each value its 95 % interval.",
        *(f"{name}: {WORDS[name]}." for name in comparison.protocols),
        "None of this says anything about anybody's skin: it is not a medical device.",
    ]
    wrapped = [line for note in notes for line in textwrap.wrap(note, WIDTH, subsequent_indent="    ")]
    return "\n\n".join([*blocks, "\n".join(wrapped)])


def format_markdown(comparison: Comparison) -> str:
    """Markdown tables for RESULTS.md: the comparison, and a grid a protocol."""
    lines = [
        "| model | data | epochs | " + " | ".join(head.lower() if head.islower() else head for head in COLUMNS) + " |",
        "|---" * (3 + len(COLUMNS)) + "|",
    ]
    for label, of_model in comparison.models.items():
        for i, line in enumerate(of_model):
            found = [estimate_text(line.figures.get(key)) for key in COLUMNS.values()]
            cells = found if line.figures else [line.missing]
            cells += [""] * (len(COLUMNS) - len(cells))
            lines.append(
                "| " + " | ".join([label if not i else "", line.name, str(epochs_of(line) or ""), *cells]) + " |"
            )
    for part in grid_parts(comparison):
        if part.table is not None:
            heads = [part.title, *part.table.heads[1:]]
            lines += ["", "| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
            lines += ["| " + " | ".join(row.cells) + " |" for row in part.table.rows]
    return "\n".join(lines) + "\n"


def to_json(comparison: Comparison) -> dict[str, Any]:
    """Everything as plain JSON values: `protocols` with what they hold, `lines` with figures or why there are none."""
    protocols = {}
    for protocol in comparison.protocols:
        run = next((line.run for line in comparison.lines if line.source == protocol and line.run), None)
        if run is not None:
            splits = run.metrics["splits"]
            protocols[protocol] = {
                "dataset": run.config["dataset"],
                "fingerprint": run.environment["dataset_fingerprint"],
                "leaky": run.metrics["leaky"],
                "leak": run.metrics.get("leak", ""),
                "splits": {
                    name: {key: split[key] for key in ("images", "positives")} for name, split in splits.items()
                },
            }
    return {
        "dataset": comparison.dataset,
        "scale": comparison.scale,
        "protocols": protocols,
        "lines": [
            {
                "model": line.label,
                "source": line.source,
                "missing": line.missing,
                "run": None if line.run is None else line.run.path.name,
                "epochs": epochs_of(line),
                "figures": line.figures,
            }
            for line in comparison.lines
        ],
    }


def write_texts(comparison: Comparison, folder: Path) -> None:
    """Writes reproduction.json and reproduction.md, over those of an earlier reproduction and over nothing else.

    Raises:
        UserError: files of these names are there that no reproduction wrote.
    """
    claim(folder, REPRODUCTION, ("reproduction.json", "reproduction.md"), otherwise="give another --out")
    write_json(folder / "reproduction.json", to_json(comparison))
    write_text(folder / "reproduction.md", format_markdown(comparison))
    seal(folder, REPRODUCTION)
