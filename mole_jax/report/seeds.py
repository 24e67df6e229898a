"""What several seeds of one config came to: each one's AUROC, their mean and spread."""

from collections.abc import Sequence

from mole_jax.report.parts import Part, Row, Table, estimate_columns, estimate_text
from mole_jax.runs.read import Run

CAPTION = (
    "Runs that differ in their seed alone. The interval of the mean says how far it may be off on other lesions, the "
    "spread (standard deviation) what luck does to one training. All other numbers of this run are those of the "
    "ensemble, the mean of the logits of all seeds."
)


def seeds_tables(runs: Sequence[Run]) -> list[Part]:
    """A table for each run that is an ensemble of seeds."""
    return [_table(run) for run in runs if "repeats" in run.metrics]


def _table(run: Run) -> Part:
    repeats = run.metrics["repeats"]
    seeds, splits = repeats["seeds"], repeats["splits"]
    judged = {split: run.metrics["splits"][split]["auroc"] for split in splits}
    rows = [
        Row([f"Seed {seed}", *(estimate_text(of["auroc"][i]) for of in splits.values())])
        for i, seed in enumerate(seeds)
    ]
    rows += [
        Row(["Mean", *(estimate_text(of["mean"]) for of in splits.values())]),
        Row(["Spread", *("–" if (of := each["deviation"]) is None else f"{of:.4f}" for each in splits.values())]),
        Row(["Ensemble", *(estimate_text(estimate) for estimate in judged.values())]),
    ]
    numbers = {"run": [*map(str, seeds), "mean", "ensemble"]}
    for split, of in splits.items():
        numbers |= estimate_columns(f"{split}_auroc", [*of["auroc"], of["mean"], judged[split]])
    heads = ["", *(f"{split.capitalize()} AUROC" for split in splits)]
    return Part(f"seeds-{run.key}", f"Over seeds: {run.name}", CAPTION, table=Table(heads, rows), numbers=numbers)
