"""All that this room can tell of one image; light to import, for processes that look at many."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool

from mole_jax.artefacts.image import Image224
from mole_jax.artefacts.kinds import ARTEFACTS
from mole_jax.artefacts.skin_tone import SkinTone, skin_tone


@dataclass(frozen=True)
class Seen:
    """What an image shows besides its lesion.

    Attributes:
        strengths: kind of ARTEFACTS -> how much of it.
        tone: of the skin; None where too little is to be seen.
    """

    strengths: Mapping[str, float]
    tone: SkinTone | None


def seen_in(image_and_lesion: tuple[Image224, Bool[np.ndarray, "224 224"]]) -> Seen:
    """Looks at an image, given with where its lesion is."""
    image, lesion = image_and_lesion
    return Seen({kind: of.strength(image, lesion) for kind, of in ARTEFACTS.items()}, skin_tone(image, lesion))
