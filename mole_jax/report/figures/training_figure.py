"""Loss and accuracy by epoch (the paper's Fig. 3)."""

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mole_jax.report.figures.drawing import BLUE, GREY, VERMILLION, draw
from mole_jax.report.parts import Panel, Part
from mole_jax.runs.read import Run

MEASURES = {"loss": "loss (nats)", "accuracy": "accuracy"}
COLUMNS = {
    "epoch": "epoch",
    "train_loss": "epoch_train_loss",
    "validation_loss": "validation_loss",
    "train_accuracy": "epoch_train_accuracy",
    "validation_accuracy": "validation_accuracy",
    "validation_auroc": "validation_auroc",
    "seconds": "seconds",
}
LOOKS = {"train": (BLUE, "-", "o"), "validation": (VERMILLION, "--", "s")}
TITLE = "Loss and accuracy by epoch"


def training_figures(runs: Sequence[Run]) -> list[Part]:
    """How training went, from metrics.jsonl: one figure, and a sentence for each run that has none."""
    logged = [run for run in runs if run.epochs]
    why = "The run has no metrics.jsonl with a finished epoch, so nothing is drawn."
    absent = [Part(f"training-{run.key}", f"{TITLE}: {run.name}", "", missing=why) for run in runs if not run.epochs]
    if not logged:
        return absent
    caption = (
        "Look at the gap: training going on to improve while validation does not is overfitting; both flat from the "
        "start is a model that learns nothing. Predictions come from the dotted epoch, which had the best "
        "validation AUROC. Training figures are averages over the epoch while the weights moved, on the images as "
        "the sampler drew them; accuracy is at a score of 0.5."
    )
    lines = [(run, epoch) for run in logged for epoch in run.epochs]
    numbers: dict[str, list[Any]] = {
        "run": [run.name for run, _ in lines],
        **{head: [epoch.get(key) for _, epoch in lines] for head, key in COLUMNS.items()},
    }
    panels = [_panel(run, measure) for run in logged for measure in MEASURES]
    return [Part("training", TITLE, caption, panels, numbers=numbers), *absent]


def _panel(run: Run, measure: str) -> Panel:
    name = f"training-{run.key}-{measure}"
    numbers: dict[str, Any] = {head: [epoch.get(key) for epoch in run.epochs] for head, key in COLUMNS.items()}
    best = max(run.epochs, key=lambda epoch: float(epoch["validation_auroc"]))

    def plot(axes: Axes) -> None:
        for split, (color, dashes, marker) in LOOKS.items():
            y = numbers[f"{split}_{measure}"]
            axes.plot(numbers["epoch"], y, dashes, color=color, marker=marker, markersize=4, label=split)
        axes.axvline(best["epoch"], color=GREY, linestyle=":", label="best validation AUROC")
        axes.set_xlabel("epoch")
        axes.set_ylabel(MEASURES[measure])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))

    train, validation = numbers[f"train_{measure}"][-1], numbers[f"validation_{measure}"][-1]
    alt = (
        f"{measure.capitalize()} over {len(run.epochs)} epochs; in the last one {train:.3f} in training and "
        f"{validation:.3f} in validation."
    )
    label = (
        f"{run.name}: {measure}; epoch {best['epoch']} has the best validation AUROC, {best['validation_auroc']:.3f}"
    )
    return Panel(name, alt, draw(name, plot), label=label)
