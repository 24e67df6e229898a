"""Principal components on a page: how much they explain, what they look like, and what they tell of melanoma."""

from collections import Counter
from typing import Any, Final

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from mole_jax.report.figures.drawing import BLUE, VERMILLION, draw, series
from mole_jax.report.parts import Panel, Part, Row, Table, estimate_columns, estimate_text
from mole_jax.runs.explanation import FOLDER, Components, Space
from mole_jax.runs.read import Run

SITES: Final = 6  # the most frequent ones, by colour
OTHERS: Final = 600  # images without melanoma that are drawn at most; the CSV has all


def components_parts(run: Run, found: Components) -> list[Part]:
    """Everything about them."""
    return [
        _explained(run, found),
        _first(run, found),
        _pictures(run, found),
        *(_scatter(run, found, s) for s in found.spaces),
    ]


def _explained(run: Run, found: Components) -> Part:
    name = f"components-{run.key}"

    def plot(axes: Axes) -> None:
        for space, look in zip(found.spaces, series(), strict=False):
            summed = np.cumsum(space.explained)
            axes.plot(range(1, len(summed) + 1), summed, look.linestyle, color=look.color, label=space.name)
        axes.set_ylim(0, 1)
        axes.set_xlabel("components, the largest first")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.set_ylabel("share of the variance explained")

    said = " ".join(
        f"Of the {space.name} ({space.dimensions:,} numbers an image) the first component explains "
        f"{space.explained[0]:.0%} of the variance, the first {len(space.explained)} {sum(space.explained):.0%}."
        for space in found.spaces
    )
    numbers: dict[str, list[Any]] = {"component": list(range(1, max(len(s.explained) for s in found.spaces) + 1))}
    for space in found.spaces:
        numbers[space.name] = [*space.explained, *[None] * (len(numbers["component"]) - len(space.explained))]
    caption = (
        f"Found on {found.spaces[0].images:,} training images, without their labels, a hundred images in memory at a "
        "time. Variance is of light and colour as they come: a component that explains much may have nothing to do "
        f"with melanoma. {found.no_features}"
    )
    return Part(
        name,
        "Does any component explain much?",
        caption.strip(),
        [Panel(name, said, draw(name, plot), label="explained variance")],
        numbers=numbers,
        lead=said,
    )


def _first(run: Run, found: Components) -> Part:
    name = f"components-auroc-{run.key}"
    counts = list(dict.fromkeys(count for space in found.spaces for count in space.first))
    rows = [
        Row(
            [
                f"first {count}" if count != "1" else "the first alone",
                *(estimate_text(s.first.get(count)) for s in found.spaces),
            ]
        )
        for count in counts
    ]
    own = estimate_text(run.metrics["splits"]["test"]["auroc"])
    numbers: dict[str, list[Any]] = {"components": counts}
    for space in found.spaces:
        numbers |= estimate_columns(space.name, [space.first.get(count) for count in counts])
    caption = (
        "AUROC on the test images of a logistic regression on the first components, each image scored without its own "
        "lesion or patient (five folds), with its 95% interval. The components themselves were found on training "
        "images."
    )
    table = Table(["Components", *(space.name for space in found.spaces)], rows)
    return Part(
        name,
        "Do the first components tell melanomas?",
        caption,
        table=table,
        numbers=numbers,
        lead=f"The run itself has {own} on the same images.",
    )


def _pictures(run: Run, found: Components) -> Part:
    pixels = found.spaces[0]
    panels = [
        Panel(
            f"component-{run.key}-{place}",
            f"Component {place} of the pixels as a picture, grey where it changes nothing.",
            (run.path / FOLDER / file).read_bytes(),
            "png",
            f"component {place}: {pixels.explained[place - 1]:.1%} of the variance",
        )
        for place, file in enumerate(pixels.pictures, 1)
    ]
    caption = (
        "Grey is no change. Where a picture is brighter, images that have more of the component are brighter; where it "
        "is darker, darker. The sign has no meaning."
    )
    numbers: dict[str, list[Any]] = {
        "component": list(range(1, len(panels) + 1)),
        "explained": list(pixels.explained[: len(panels)]),
    }
    return Part(
        f"component-pictures-{run.key}",
        "The first components of the pixels",
        caption,
        panels,
        numbers=numbers,
        layout="small",
    )


def _scatter(run: Run, found: Components, space: Space) -> Part:
    name = f"scatter-{run.key}-{found.spaces.index(space) + 1}"
    scores, label = np.array(space.scores), np.array(found.label)
    others = np.flatnonzero(label == 0)
    drawn = np.sort(np.random.default_rng(0).permutation(others)[:OTHERS])

    def plot(axes: Axes) -> None:
        axes.scatter(scores[drawn, 0], scores[drawn, 1], s=9, color=BLUE, alpha=0.4, linewidths=0, label="not melanoma")
        axes.scatter(
            scores[label == 1, 0],
            scores[label == 1, 1],
            s=20,
            color=VERMILLION,
            marker="^",
            linewidths=0,
            label="melanoma",
        )
        axes.set_xlabel("first component")
        axes.set_ylabel("second component")

    sites = [site for site, _ in Counter(filter(None, found.site)).most_common(SITES)]
    of_site, shown = np.array(found.site), np.union1d(drawn, np.flatnonzero(label == 1))

    def plot_sites(axes: Axes) -> None:
        for site, look in zip(sites, series(), strict=False):
            rows = shown[of_site[shown] == site]
            axes.scatter(scores[rows, 0], scores[rows, 1], s=9, color=look.color, alpha=0.6, linewidths=0, label=site)
        axes.set_xlabel("first component")
        axes.set_ylabel("second component")

    means = [scores[label == one].mean(axis=0) for one in (0, 1)]
    apart = np.abs(means[1] - means[0]) / np.maximum(scores.std(axis=0), 1e-12)
    alt = f"The means of the classes lie {apart[0]:.2f} and {apart[1]:.2f} deviations apart on the two components."
    some = f" {OTHERS} of {len(others):,} images without melanoma are drawn." if len(others) > OTHERS else ""
    numbers: dict[str, list[Any]] = {
        "image_id": list(found.image_id),
        "group": list(found.group),
        "site": list(found.site),
        "label": list(found.label),
        "first": scores[:, 0].tolist(),
        "second": scores[:, 1].tolist(),
    }
    panels = [Panel(name, alt, draw(name, plot), label="by class")]
    if sites:
        words = f"The same images by the {len(sites)} most frequent sites."
        panels.append(Panel(f"{name}-sites", words, draw(f"{name}-sites", plot_sites), label="by site on the body"))
    caption = f"{alt}{some} The CSV has each image's lesion or patient and its site on the body."
    return Part(
        name,
        f"Test images on the first two components of the {space.name}",
        caption,
        panels,
        numbers=numbers,
    )
