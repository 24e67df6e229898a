"""Loss and accuracy by epoch (the paper's Fig. 3)."""

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mole_jax.report.drawing import BLUE, VERMILLION, draw
from mole_jax.report.parts import Panel, Part
from mole_jax.report.runs import Run

MEASURES = ("loss", "accuracy")
COLUMNS = {
    "epoch": "epoch",
    "train_loss": "epoch_train_loss",
    "validation_loss": "validation_loss",
    "train_accuracy": "epoch_train_accuracy",
    "validation_accuracy": "validation_accuracy",
    "validation_auroc": "validation_auroc",
    "seconds": "seconds",
}


def training_figure(run: Run) -> Part:
    """How training went, from metrics.jsonl."""
    name, title = f"training-{run.key}", f"Loss and accuracy by epoch: {run.name}"
    if not run.epochs:
        return Part(name, title, "", missing="The run has no metrics.jsonl with a finished epoch, so nothing is drawn.")
    numbers = {head: [epoch.get(key) for epoch in run.epochs] for head, key in COLUMNS.items()}
    best = max(run.epochs, key=lambda epoch: float(epoch["validation_auroc"]))
    last = run.epochs[-1]

    def panel(measure: str) -> Panel:
        def plot(axes: Axes) -> None:
            for split, color, style, marker in (("train", BLUE, "-", "o"), ("validation", VERMILLION, "--", "s")):
                axes.plot(
                    numbers["epoch"],
                    numbers[f"{split}_{measure}"],
                    color=color,
                    linestyle=style,
                    marker=marker,
                    markersize=4,
                    label=split,
                )
            axes.axvline(best["epoch"], color="gray", linestyle=":", label="epoch with the best validation AUROC")
            axes.set_xlabel("epoch")
            axes.set_ylabel(measure if measure == "accuracy" else "loss (nats)")
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))

        alt = (
            f"{measure.capitalize()} over {len(run.epochs)} epochs; in the last one "
            f"{last[f'epoch_train_{measure}']:.3f} in training and {last[f'validation_{measure}']:.3f} in validation."
        )
        return Panel(f"{name}-{measure}", alt, draw(f"{name}-{measure}", plot))

    caption = (
        "Look at the gap: training going on to improve while validation does not is overfitting; both flat from the "
        f"start is a model that learns nothing. Predictions come from epoch {best['epoch']} (dotted), which had the "
        f"best validation AUROC, {best['validation_auroc']:.3f}. Training figures are averages over the epoch while "
        "the weights moved, on the images as the sampler drew them; accuracy is at a score of 0.5."
    )
    return Part(name, title, caption, [panel(measure) for measure in MEASURES], numbers=numbers)
