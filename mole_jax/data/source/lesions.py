"""Draws a pigmented lesion on skin, seen through a dermatoscope.

Atypia drives the letters of dermoscopy's ABCD rule (Nachbar et al. 1994, J Am Acad Dermatol 30:551-559): asymmetry,
border, colours and diameter, and how regular the pigment network is; each with noise of its own. Skin, hairs, position
and light do not depend on it.
"""

from typing import Final, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image, ImageDraw

from mole_jax.data.image_file import IMAGE_SIZE

CANVAS: Final = 288
SKINS: Final = np.array([[236, 196, 172], [222, 170, 142], [205, 150, 120], [182, 130, 102]], np.float32) / 255
BROWNS: Final = np.array([[158, 106, 74], [126, 80, 54], [96, 60, 42]], np.float32) / 255
# The colours of the rule besides light and dark brown: black, blue-grey, red, white.
ODD_COLOURS: Final = np.array([[44, 32, 30], [96, 108, 126], [182, 84, 76], [230, 212, 204]], np.float32) / 255


class Lesion(NamedTuple):
    """A drawn lesion, before it is photographed.

    Attributes:
        colour: colour of the lesion at each pixel, red, green, blue, 0..1.
        opacity: how much of the lesion shows at each pixel, 0 (skin alone) to 1 (lesion alone).
        skin: the colour of the skin around it, red, green, blue, 0..1.
    """

    colour: Float[np.ndarray, "288 288 3"]
    opacity: Float[np.ndarray, "288 288"]
    skin: Float[np.ndarray, "3"]


def draw_lesion(atypia: float, rng: np.random.Generator) -> Lesion:
    """Draws a lesion.

    Args:
        atypia: about -3 (a harmless mole) to 3 (a textbook melanoma).
        rng: the generator that decides everything else.
    """
    asymmetry, border, variegation, diameter, disorder = _sigmoid(1.3 * atypia + rng.normal(0, 0.9, 5)).tolist()
    y, x = np.mgrid[-1 : 1 : CANVAS * 1j, -1 : 1 : CANVAS * 1j].astype(np.float32)
    angle = np.arctan2(y, x)
    radius = rng.normal(0.40, 0.07) + 0.05 * diameter
    outline = 1 + rng.uniform(0, 0.12) * np.cos(2 * angle + rng.uniform(0, 2 * np.pi))  # an ellipse tells nothing
    for waves, size in (
        (1, 0.16 * asymmetry),
        (3, 0.13 * asymmetry),
        *((k, 0.24 * border / k**0.8) for k in range(6, 15)),
    ):
        outline += size * rng.normal(0, 0.7) * np.cos(waves * angle + rng.uniform(0, 2 * np.pi))
    softness = 0.09 - 0.05 * border + 0.02 * rng.random()
    depth = (outline * radius - np.hypot(x, y)) / softness
    opacity = _sigmoid(2 * depth) * rng.uniform(0.75, 0.95)

    colour = np.broadcast_to(_mix(BROWNS, rng), (CANVAS, CANVAS, 3)).copy()
    for odd in ODD_COLOURS:
        patch = _sigmoid(6 * (_smooth_noise(rng, 6) - 2.3 + 1.5 * variegation + rng.normal(0, 0.3)))
        colour += (0.8 * patch)[..., None] * (odd - colour)
    towards = rng.uniform(0, 2 * np.pi)
    shade = 0.35 * asymmetry * (x * np.cos(towards) + y * np.sin(towards)) / radius
    bend = 1.2 + 8 * disorder
    lines = [np.cos(34 * x + bend * _smooth_noise(rng, 5)), np.cos(34 * y + bend * _smooth_noise(rng, 5))]
    network = np.maximum(*lines) * rng.uniform(0.06, 0.14)
    colour *= (1 + shade - network + 0.05 * _smooth_noise(rng, 24))[..., None]
    return Lesion(np.clip(colour, 0, 1), opacity, _mix(SKINS, rng))


def photograph(lesion: Lesion, rng: np.random.Generator) -> UInt8[np.ndarray, "224 224 3"]:
    """Takes one picture: turned, shifted, magnified, with its own light, hairs and noise."""
    view = _seen(lesion, rng)
    skin = (
        lesion.skin
        * (1 + 0.03 * _smooth_noise(rng, 5, IMAGE_SIZE) + 0.02 * _smooth_noise(rng, 60, IMAGE_SIZE))[..., None]
    )
    scene = skin + view[..., 3:] * (view[..., :3] - skin)
    hairs = np.asarray(_hairs(rng), np.float32)[..., None] / 255
    scene *= 1 - 0.7 * hairs

    y, x = np.mgrid[-1 : 1 : IMAGE_SIZE * 1j, -1 : 1 : IMAGE_SIZE * 1j].astype(np.float32)
    light = (
        rng.uniform(0.78, 1.12)
        + rng.uniform(-0.08, 0.08) * x
        + rng.uniform(-0.08, 0.08) * y
        - rng.uniform(0, 0.15) * (x**2 + y**2)
    )
    tint = rng.normal(1, 0.03, 3).astype(np.float32)
    picture = scene * light[..., None] * tint + 0.012 * rng.standard_normal(scene.shape, np.float32)
    return np.round(255 * np.clip(picture, 0, 1)).astype(np.uint8)


def outline(lesion: Lesion, rng: np.random.Generator) -> Bool[np.ndarray, "224 224"]:
    """Where the lesion is in the picture that `photograph` takes with the same generator: inside its drawn border."""
    opacity = _seen(lesion, rng)[..., 3]
    return opacity > lesion.opacity.max() / 2


def _seen(lesion: Lesion, rng: np.random.Generator) -> Float[np.ndarray, "224 224 4"]:
    """The lesion's colour and opacity, turned, shifted and magnified; the first that a picture draws."""
    canvas = np.concatenate([lesion.colour, lesion.opacity[..., None]], axis=-1)
    turned = Image.fromarray(np.round(255 * canvas).astype(np.uint8)).transform(
        (IMAGE_SIZE, IMAGE_SIZE), Image.Transform.AFFINE, _camera(rng), Image.Resampling.BILINEAR
    )
    return np.asarray(turned, np.float32) / 255


def _camera(rng: np.random.Generator) -> tuple[float, ...]:
    """The affine map from the image's pixels to the canvas's, as PIL's six coefficients."""
    angle, zoom, mirror = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.25), rng.choice([-1, 1])
    a, b = np.cos(angle) / zoom, np.sin(angle) / zoom
    matrix = np.array([[a * mirror, -b], [b * mirror, a]])
    offset = CANVAS / 2 - matrix @ (IMAGE_SIZE / 2 + rng.uniform(-22, 22, 2))
    return (*matrix[0], offset[0], *matrix[1], offset[1])


def _hairs(rng: np.random.Generator) -> Image.Image:
    mask = Image.new("L", (IMAGE_SIZE, IMAGE_SIZE))
    for _ in range(rng.poisson(2)):
        start, middle, end = rng.uniform(-20, IMAGE_SIZE + 20, (3, 2))
        t = np.linspace(0, 1, 20)[:, None]
        curve = (1 - t) ** 2 * start + 2 * t * (1 - t) * middle + t**2 * end
        ImageDraw.Draw(mask).line([tuple(point) for point in curve], fill=255, width=int(rng.integers(1, 3)))
    return mask


def _smooth_noise(rng: np.random.Generator, cells: int, size: int = CANVAS) -> Float[np.ndarray, "size size"]:
    """Noise of roughly unit variance that changes over 1/cells of the picture."""
    coarse = Image.fromarray(rng.normal(0, 1.4, (cells, cells)).astype(np.float32))
    return np.asarray(coarse.resize((size, size), Image.Resampling.BICUBIC))


def _mix(colours: Float[np.ndarray, "n 3"], rng: np.random.Generator) -> Float[np.ndarray, "3"]:
    return (rng.dirichlet(np.full(len(colours), 0.8)) @ colours).astype(np.float32)


def _sigmoid(x: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    return 0.5 * (1 + np.tanh(x / 2))
