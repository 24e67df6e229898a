"""The kinds of artefacts by name: how strong one is in an image, from where on it counts, and how it comes and goes."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from jaxtyping import Bool

from mole_jax.artefacts.bubbles import ringlike, with_bubbles
from mole_jax.artefacts.corners import darkness, with_dark_corners
from mole_jax.artefacts.hair import hairiness, with_hair, without_hair
from mole_jax.artefacts.image import Image224
from mole_jax.artefacts.ink import inked, with_ink
from mole_jax.artefacts.ruler import regularity, with_ruler


@dataclass(frozen=True)
class Artefact:
    """One kind.

    Attributes:
        name: for people.
        strength: (image, where the lesion is) -> how much of it there is.
        least: the strength from which on an image counts as having it.
        into: (image, generator) -> the image with one drawn into it.
        out: image -> the image without it; None where it cannot be taken out.
    """

    name: str
    strength: Callable[[Image224, Bool[np.ndarray, "224 224"]], float]
    least: float
    into: Callable[[Image224, np.random.Generator], Image224]
    out: Callable[[Image224], Image224] | None = None

    def found(self, image: Image224, lesion: Bool[np.ndarray, "224 224"]) -> bool:
        """Whether an image has it."""
        return self.strength(image, lesion) >= self.least


# The least strengths were chosen on the first fifty of a hundred labelled images of HAM10000, that of bubbles on 250 of
# 400, that of ink on drawn images; RESULTS.md has what they find among the others.
ARTEFACTS: Final = {
    "hair": Artefact("hair", lambda image, _: hairiness(image), 0.5, with_hair, without_hair),
    "corners": Artefact("dark corners", lambda image, _: darkness(image), 0.4, with_dark_corners),
    "ruler": Artefact("ruler", lambda image, _: regularity(image), 0.4, with_ruler),
    "ink": Artefact("ink", inked, 0.002, with_ink),
    "bubbles": Artefact("bubbles", lambda image, _: ringlike(image), 0.76, with_bubbles),
}
