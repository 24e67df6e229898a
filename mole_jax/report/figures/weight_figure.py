"""The weight picture of the logistic regression beside a melanoma (the paper's Fig. 2)."""

import io

import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from mole_jax.report.parts import Panel, Part
from mole_jax.report.photographs import photograph
from mole_jax.runs.read import Run

BLOCK = 16  # pixels; the numbers are means over such squares
BRIGHTEST = 0.99  # quantile of the absolute weights that is drawn at full strength


def weight_figure(run: Run) -> Part:
    """What the logistic regression of a run looks at."""
    name, title = f"weights-{run.key}", f"Weight picture: {run.name}"
    weights = run.weight_picture
    if weights is None:
        return Part(name, title, "", missing="The run has no weight_picture.npy, so its weights are not shown.")
    blocks = weights.reshape(weights.shape[0] // BLOCK, BLOCK, weights.shape[1] // BLOCK, BLOCK, 3).mean(axis=(1, 3))
    rows, columns = np.indices(blocks.shape[:2])
    numbers = {
        "row": (rows * BLOCK).ravel().tolist(),
        "column": (columns * BLOCK).ravel().tolist(),
        **{color: blocks[..., i].ravel().tolist() for i, color in enumerate(("red", "green", "blue"))},
    }
    half = weights.shape[0] // 4
    centre = weights[half:-half, half:-half].mean()
    edge = (weights.sum() - weights[half:-half, half:-half].sum()) / (weights.size * 3 / 4)
    alt = (
        f"Weights as a picture, grey where they are zero. Mean weight {centre:.2e} in the central quarter, {edge:.2e} "
        "around it."
    )
    panels = [Panel(f"{name}-picture", alt, _png(weights), "png", "weights")]
    melanomas = np.flatnonzero(run.test.label == 1)
    if len(melanomas):
        surest = int(melanomas[np.argmax(run.test.score[melanomas])])
        panels.append(photograph(run, surest, name=f"{name}-melanoma"))
    caption = (
        "Grey is no weight. Where the picture is brighter in a colour, more of that colour speaks for melanoma; "
        "where it is darker, for a mole. A dark centre says: dark in the middle is melanoma. Speckle without shape "
        "is memorised noise. Beside it the melanoma with the highest score. The numbers are means over "
        f"{BLOCK}x{BLOCK} pixels. {run.images.reason}"
    )
    return Part(name, title, caption.strip(), panels, numbers=numbers, layout="thirds")


def _png(weights: Float[np.ndarray, "h w 3"]) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(_as_picture(weights)).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _as_picture(weights: Float[np.ndarray, "h w 3"]) -> UInt8[np.ndarray, "h w 3"]:
    strongest = float(np.quantile(np.abs(weights), BRIGHTEST)) or 1.0
    return np.clip(np.rint(127.5 + 127.5 * weights / strongest), 0, 255).astype(np.uint8)
