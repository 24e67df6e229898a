"""Skins of a known tone, with a lesion, light and noise drawn on them."""

import numpy as np

SIDE = 224
LESION = np.hypot(*(np.mgrid[:SIDE, :SIDE] - SIDE / 2)) < 45


def skin_of(angle, *, lightness=None, rng=None):
    """A flat skin of a typology angle, in degrees, as bytes of sRGB; with noise where there is a generator."""
    yellow = 18.0
    lightness = 50 + yellow * np.tan(np.deg2rad(angle)) if lightness is None else lightness
    lab = np.array([lightness, 12.0, yellow])
    colour = rgb_of(lab)
    image = np.broadcast_to(colour, (SIDE, SIDE, 3)).astype(np.float64)
    image = np.where(LESION[..., None], image * 0.4, image)
    if rng is not None:
        image = image + rng.normal(0, 4, image.shape)
    return np.round(image).clip(0, 255).astype(np.uint8)


def rgb_of(lab):
    """sRGB bytes of a colour in CIELAB, by Pillow-free textbook formulas, the inverse of what is tested."""
    fy = (lab[0] + 16) / 116
    f = np.array([fy + lab[1] / 500, fy, fy - lab[2] / 200])
    xyz = np.where(f > 6 / 29, f**3, 3 * (6 / 29) ** 2 * (f - 4 / 29)) * np.array([0.95047, 1.0, 1.08883])
    linear = np.linalg.solve(
        [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.0721750], [0.0193339, 0.1191920, 0.9503041]], xyz
    ).clip(0, 1)
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def relit(image, *, exposure, balance):
    """Another exposure and white balance, in linear light."""
    linear = (image / 255) ** 2.2 * exposure * np.asarray(balance)
    return np.round(255 * linear.clip(0, 1) ** (1 / 2.2)).astype(np.uint8)
