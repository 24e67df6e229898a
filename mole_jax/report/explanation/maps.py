"""Maps on a page: the verdict on each method, and melanomas with their maps."""

from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from PIL import Image

from mole_jax.report.figures.drawing import draw
from mole_jax.report.parts import Panel, Part, Row, Table
from mole_jax.report.photographs import jpeg
from mole_jax.runs.explanation import FOLDER, SIGNED, TITLES, Gain, MethodResult, Picture, Saliency
from mole_jax.runs.read import Run

RULE: Final = (
    "A method fails if most of its maps are blank; if its maps of the network with all layers random agree with those "
    "of the trained one, a mean rank correlation of .5 or more; if maps of turned and mirrored images, turned back, "
    "agree less than that; if hiding its strongest places first does not lower the logit by more than random orders "
    "do, or showing them first does not raise it by more (95% interval over images); or if the sum of integrated "
    "gradients misses by more than 5%. The rule was fixed before any run was looked at. Where the maps lie is no part "
    "of it."
)


def verdict(run: Run, found: Saliency) -> Part:
    """Which methods can be believed for this network."""
    lesions = found.lesion_area is not None
    rows = []
    for result in found.methods:
        why = f"FAILED: {'; '.join(result.reasons)}" if result.reasons else "passed"
        rows.append(Row([f"{TITLES[result.method]} {why}"], "head"))
        rows.append(Row(_cells(result, lesions=lesions), "leaky-row" if result.reasons else ""))
    heads = ["Method", "With a random network", "Turned images", "Hiding", "Showing"]
    heads += ["Strongest place in the lesion"] if lesions else []
    passed = [TITLES[result.method] for result in found.methods if not result.reasons]
    lead = (
        f"Of {len(found.methods)} methods {len(passed)} passed: {', '.join(passed)}. The others say little about what "
        "this network looks at, and their maps are crossed out. "
        if passed
        else f"None of {len(found.methods)} methods passed: no map on this page says what this network looks at. "
    )
    lead += "A map is a hint where to look, never evidence: even a faithful one shows what the score hangs on, not why."
    caption = (
        f"{RULE} Tested on {len(found.tested)} melanomas of the test split, one a lesion, drawn at random. With a "
        "random network, and for turned images: mean rank correlation over squares of 16x16 pixels; 1 is the same map; "
        "two random networks agree by what the image alone does. Hiding and showing: by how many log odds the method's "
        f"order beats random orders, with its 95% interval. {_labels_text(run, found)} {_lesion_text(found)}"
    )
    return Part(
        f"maps-{run.key}",
        f"Can the maps be believed? {run.name}",
        caption,
        (),
        Table(heads, rows),
        _numbers(found),
        lead=lead,
    )


def _cells(result: MethodResult, *, lesions: bool) -> list[str]:
    cells = [
        TITLES[result.method],
        _signs(f"{result.cascade[-1]:.2f} (two random: {result.two_random:.2f})"),
        _signs(f"{result.positions:.2f}"),
        _gain_text(result.deletion),
        _gain_text(result.insertion),
    ]
    return [*cells, f"{result.pointing.hits:.0%}"] if lesions and result.pointing else cells


def _gain_text(gain: Gain) -> str:
    return _signs(f"{gain.value:+.2g} ({gain.low:+.2g} to {gain.high:+.2g})")


def _signs(text: str) -> str:
    return text.replace("-", "−")


def _labels_text(run: Run, found: Saliency) -> str:
    shuffled = {TITLES[r.method]: r.shuffled_labels for r in found.methods if r.shuffled_labels is not None}
    if shuffled:
        each = ", ".join(f"{name} {value:.2f}" for name, value in shuffled.items())
        return (
            f"Rank correlation with the maps of the same network trained on shuffled labels: {each}; .5 or more fails."
        )
    return (
        "Not run: whether a network trained on shuffled labels gives the same maps. python -m experiments.explain "
        f"--run={run.path} --shuffle_labels does it, and trains as long as the run did."
    )


def _lesion_text(found: Saliency) -> str:
    if found.lesion_area is None or found.centre is None:
        return f"{found.lesions} So it is not known how much of a map lies in the lesion."
    return (
        f"{found.lesions} They cover {found.lesion_area:.0%} of the images, and a map that always points at the middle "
        f"would score {found.centre:.0%}."
    )


def _numbers(found: Saliency) -> dict[str, list[Any]]:
    results = found.methods
    columns: dict[str, list[Any]] = {
        "method": [result.method for result in results],
        "verdict": ["failed" if result.reasons else "passed" for result in results],
        "reasons": ["; ".join(result.reasons) for result in results],
        "random_network": [result.cascade[-1] for result in results],
        "two_random_networks": [result.two_random for result in results],
        "shuffled_labels": [result.shuffled_labels for result in results],
        "turned_images": [result.positions for result in results],
        "blank": [result.blank for result in results],
        "completeness_gap": [result.completeness for result in results],
        "seconds_an_image": [result.seconds for result in results],
        "pointing_hits": [result.pointing and result.pointing.hits for result in results],
        "share_in_lesion": [result.pointing and result.pointing.inside for result in results],
    }
    for name in ("deletion", "insertion"):
        gains: list[Gain] = [getattr(result, name) for result in results]
        columns |= {
            f"{name}_gain{suffix}": [getattr(gain, key) for gain in gains]
            for suffix, key in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
    return columns


def pictures(run: Run, found: Saliency, *, most: int | None = None) -> list[Part]:
    """Melanomas that were missed and found, each with its maps; the bars that say what the colours mean come first.

    Args:
        run: whose.
        found: its maps.
        most: how many of each kind; None: all.
    """
    failed = {result.method: "; ".join(result.reasons) for result in found.methods if result.reasons}
    shown: list[Picture] = []
    for kind in ("missed", "found"):
        shown += [picture for picture in found.pictures if picture.kind == kind][:most]
    if not shown:
        return [Part(f"map-pictures-{run.key}", "Maps", "", missing="There are no melanomas to show.")]
    return [_colours(run, found), *(_pictured(run, picture, place, failed) for place, picture in enumerate(shown, 1))]


def _pictured(run: Run, picture: Picture, place: int, failed: dict[str, str]) -> Part:
    name, kind = f"map-{run.key}-{place}", "Missed" if picture.kind == "missed" else "Found"
    label = f"{picture.image_id}: score {picture.score:.3f}, truth melanoma"
    panels = [_panel(run, f"{name}-photograph", picture.photograph, f"Dermoscopic image {label}", "the photograph")]
    for method, file in picture.maps.items():
        words = TITLES[method] + (": failed" if method in failed else "")
        panels.append(_panel(run, f"{name}-{method}", file, f"Map of {picture.image_id} by {words}", words))
    return Part(
        name,
        f"{kind}: {label}",
        "Crossed out: the method failed, for the reasons in the table above. Files: the run's folder explain.",
        panels,
        numbers={
            "image_id": [picture.image_id] * len(picture.maps),
            "score": [picture.score] * len(picture.maps),
            "method": list(picture.maps),
            "failed": [failed.get(method, "") for method in picture.maps],
            "file": list(picture.maps.values()),
        },
        layout="small",
    )


def _panel(run: Run, name: str, file: str, alt: str, label: str) -> Panel:
    return Panel(name, alt, _as_jpeg(run.path / FOLDER / file), "jpeg", label)


def _as_jpeg(path: Path) -> bytes:
    """A picture at a sixth of its size; the PNG stays in the run's folder."""
    with Image.open(path) as picture:
        return jpeg(np.asarray(picture.convert("RGB")))


def _colours(run: Run, found: Saliency) -> Part:
    name = f"map-colours-{run.key}"
    methods = [result.method for result in found.methods]
    signed = ", ".join(TITLES[method] for method in methods if method in SIGNED)
    plain = ", ".join(TITLES[method] for method in methods if method not in SIGNED)
    panels = []
    if plain:
        panels.append(_bar(f"{name}-plain", "magma", ("nothing", "most"), plain))
    if signed:
        panels.append(_bar(f"{name}-signed", "RdBu_r", ("against melanoma", "for melanoma"), signed))
    layer = f" CAM and Grad-CAM read {found.layer}." if found.layer else " There is no feature map for Grad-CAM."
    views = (
        "" if found.views == 1 else f" The run's scores are means over {found.views} positions, and so are the maps."
    )
    caption = (
        "Each map is drawn over the photograph in grey, at full strength from the 99th of 100 of its pixels on: "
        f"strengths of two maps cannot be compared.{layer}{views}"
    )
    numbers: dict[str, list[Any]] = {"method": methods, "signed": [method in SIGNED for method in methods]}
    return Part(name, "What the colours mean", caption, panels, numbers=numbers)


def _bar(name: str, colours: str, ends: tuple[str, str], methods: str) -> Panel:
    def plot(axes: Axes) -> None:
        axes.imshow(np.linspace(0, 1, 64)[None], aspect="auto", cmap=matplotlib.colormaps[colours], extent=(0, 1, 0, 1))
        axes.set_yticks([])
        axes.set_xticks([0, 1], ends)
        axes.grid(False)

    return Panel(name, f"Colours from {ends[0]} to {ends[1]}.", draw(name, plot, size=(4.4, 0.7)), label=methods)
