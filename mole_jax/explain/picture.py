"""Maps as pictures: over the photograph in grey, crossed out where the method failed."""

import io
from collections.abc import Mapping, Sequence
from typing import Final

import matplotlib
import numpy as np
from jaxtyping import Float, UInt8
from matplotlib.figure import Figure
from PIL import Image, ImageDraw

DIVERGING: Final = "RdBu_r"  # blue speaks against melanoma, red for it; told apart by all kinds of colour vision
SEQUENTIAL: Final = "magma"
STRONGEST: Final = 0.99  # quantile of a map's strengths that is drawn at full strength
COLOUR: Final = 0.6  # share of the map's colour in a picture; the rest is the photograph, in grey
CROSS: Final = (213, 94, 0)
COLUMNS: Final = 4


def overlaid(
    image: UInt8[np.ndarray, "side side 3"], saliency: Float[np.ndarray, "side side"], *, signed: bool, failed: bool
) -> UInt8[np.ndarray, "side side 3"]:
    """A map over its photograph.

    Args:
        image: the photograph.
        saliency: its map.
        signed: whether zero is the middle of the colours, else it is their beginning.
        failed: whether the method failed: the picture is crossed out then, whatever becomes of its caption.
    """
    strongest = float(np.quantile(np.abs(saliency), STRONGEST)) or float(np.abs(saliency).max()) or 1.0
    value = saliency / strongest
    place = (value + 1) / 2 if signed else value
    colour = matplotlib.colormaps[DIVERGING if signed else SEQUENTIAL](np.clip(place, 0, 1))[..., :3]
    grey = np.asarray(Image.fromarray(image).convert("L"), np.float32)[..., None] / 255
    mixed = np.round(255 * (COLOUR * colour + (1 - COLOUR) * grey)).astype(np.uint8)
    return crossed_out(mixed) if failed else mixed


def crossed_out(picture: UInt8[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    """The picture with both diagonals drawn through it, orange between white."""
    canvas = Image.fromarray(picture)
    draw, (width, height) = ImageDraw.Draw(canvas), canvas.size
    for line in ([(0, 0), (width, height)], [(0, height), (width, 0)]):
        draw.line(line, fill=(255, 255, 255), width=9)
    for line in ([(0, 0), (width, height)], [(0, height), (width, 0)]):
        draw.line(line, fill=CROSS, width=5)
    return np.asarray(canvas)


def png(picture: UInt8[np.ndarray, "h w 3"]) -> bytes:
    """A picture as a PNG file."""
    buffer = io.BytesIO()
    Image.fromarray(picture).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def sheet(title: str, panels: Mapping[str, UInt8[np.ndarray, "side side 3"]], notes: Sequence[str]) -> bytes:
    """Pictures side by side under their captions, as one PNG file.

    Args:
        title: above all.
        panels: caption, of one line or two -> picture.
        notes: lines below all.
    """
    rows = -(-len(panels) // COLUMNS)
    below = 0.25 * (len(notes) + 1)
    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 8, "text.parse_math": False}):
        figure = Figure(figsize=(2.5 * COLUMNS, 2.95 * rows + 0.5 + below), layout="constrained")
        figure.get_layout_engine().set(rect=(0, below / figure.get_figheight(), 1, 1 - below / figure.get_figheight()))  # type: ignore[union-attr, call-arg]
        figure.suptitle(title, fontsize=10)
        cells = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
        for axes in cells:
            axes.set_axis_off()
        for axes, (caption, picture) in zip(cells, panels.items(), strict=False):
            axes.imshow(picture)
            axes.set_title(caption, fontsize=8)
        figure.text(0.01, 0.01, "\n".join(notes), va="bottom", fontsize=8)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()
