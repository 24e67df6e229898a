"""The tests of the maps as curves."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from mole_jax.report.figures.drawing import GREY, draw, series
from mole_jax.report.parts import Panel, Part
from mole_jax.runs.explanation import TITLES, Saliency
from mole_jax.runs.read import Run


def cascade_figure(run: Run, found: Saliency) -> Part:
    """How maps change while the network's layers are made random, from the output on."""
    name = f"cascade-{run.key}"
    places = range(len(found.steps) + 1)

    def plot(axes: Axes) -> None:
        for result, look in zip(found.methods, series(), strict=False):
            curve = (1.0, *result.cascade)
            axes.plot(
                places, curve, look.linestyle, color=look.color, marker="o", markersize=3, label=TITLES[result.method]
            )
        axes.axhline(0.5, color=GREY, linestyle=":", label="from here on up at the end: failed")
        axes.set_xticks(places)
        axes.set_xlabel("step (0: as trained)")
        axes.set_ylabel("rank correlation with the trained map")

    steps = "; ".join(f"{place}: {words}" for place, words in enumerate(found.steps, 1))
    said = ", ".join(f"{TITLES[result.method]} {result.cascade[-1]:.2f}" for result in found.methods)
    caption = (
        "Layers are replaced by random ones, the last first (Adebayo et al. 2018). A map that explains the network "
        f"must change; one that stays is made by the image. Steps: {steps}. The CSV has what two random networks agree "
        "by."
    )
    numbers: dict[str, list[Any]] = {
        "step": ["as trained", *found.steps, "two random networks"],
        **{r.method: [1.0, *r.cascade, r.two_random] for r in found.methods},
    }
    panel = Panel(name, f"Rank correlation once all is random: {said}.", draw(name, plot), label="layers made random")
    return Part(name, "Does the network matter?", caption, [panel], numbers=numbers)


def hiding_figure(run: Run, found: Saliency) -> Part:
    """How the logit changes while the strongest places are hidden, and while they are shown."""
    name = f"hiding-{run.key}"
    curves = {
        "hiding": ({r.method: r.deletion.curve for r in found.methods}, found.random_deletion),
        "showing": ({r.method: r.insertion.curve for r in found.methods}, found.random_insertion),
    }
    panels = [_panel(f"{name}-{kind}", kind, *given) for kind, given in curves.items()]
    share = [step / (len(found.random_deletion) - 1) for step in range(len(found.random_deletion))]
    numbers: dict[str, list[Any]] = {"share_of_image": share}
    for kind, (of_methods, random) in curves.items():
        numbers |= {f"{kind}_{method}": list(curve) for method, curve in of_methods.items()}
        numbers[f"{kind}_random"] = list(random)
    caption = (
        "Squares of 16x16 pixels are hidden in the mean colour of their image, or shown on it, the strongest of the "
        "map first (Petsiuk et al. 2018). Good maps fall faster than random orders, and rise faster. A network has "
        "never seen such images, so the curves are of the map and of that together."
    )
    return Part(name, "Does the map point to what counts?", caption, panels, numbers=numbers)


def _panel(name: str, kind: str, of_methods: Mapping[str, Sequence[float]], random: Sequence[float]) -> Panel:
    share = [step / (len(random) - 1) for step in range(len(random))]

    def plot(axes: Axes) -> None:
        for (method, curve), look in zip(of_methods.items(), series(), strict=False):
            axes.plot(share, curve, look.linestyle, color=look.color, label=TITLES[method])
        axes.plot(share, random, color=GREY, linestyle=(0, (1, 2)), label="random order")
        axes.set_xlabel(f"share of the image that is {'hidden' if kind == 'hiding' else 'shown'}")
        axes.set_ylabel("mean logit")

    middle = len(random) // 2
    said = ", ".join(f"{TITLES[method]} {curve[middle]:.2f}" for method, curve in of_methods.items())
    alt = f"Mean logit at half of the image: random order {random[middle]:.2f}, {said}."
    return Panel(name, alt, draw(name, plot), label=f"{kind} the strongest places first")
