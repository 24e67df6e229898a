"""The dataset that needs no download: lesions that are drawn, not photographed. Nothing medical follows from them.

Every lesion has a hidden atypia, normally distributed in each class with an overlap; `lesions` draws what it leads
to. So the best possible classifier is known, and no classifier can be perfect.
"""

import hashlib
import itertools
from typing import Any, Final

import numpy as np
from jaxtyping import Bool

from mole_jax.data.image_file import IMAGE_SIZE, LoadedImage
from mole_jax.data.records import CLASSES, Record
from mole_jax.data.source.lesions import draw_lesion, outline, photograph
from mole_jax.data.source.listing import Listing

DEFAULT_EXAMPLES: Final = 600
# The atypia of moles is N(-d/2, 1), of melanomas N(+d/2, 1): an AUROC beyond Phi(d / sqrt 2) = .96 is luck or a leak.
CLASS_DISTANCE: Final = 2.5
MAX_IMAGES_PER_LESION: Final = 3
SITES: Final = ("back", "lower extremity", "trunk", "upper extremity", "abdomen", "face", "chest")


def list_synthetic(examples: int, seed: int) -> Listing:
    """The records of a synthetic dataset: as many moles as melanomas, one to three images a lesion.

    Args:
        examples: how many images, an even number.
        seed: decides every lesion and every image.
    """
    records: list[Record] = []
    counts = [0, 0]
    for lesion in itertools.count():
        if sum(counts) == examples:
            break
        label = int(counts[1] < counts[0])
        images = _lesion_records(seed, lesion, label)[: examples // 2 - counts[label]]
        counts[label] += len(images)
        records += images
    digest = hashlib.sha256(f"synthetic/{examples}/{seed}".encode()).hexdigest()
    return Listing("synthetic", tuple(records), (), (), len(records), digest, grouped=True)


def load_synthetic(seed: int, record: Record) -> LoadedImage:
    """Draws the image of a record of `list_synthetic`; the images of a lesion differ in position, light and hairs."""
    lesion, image = _numbers(record.image_id)
    drawing = draw_lesion(_atypia(seed, lesion, record.label), _generator(seed, lesion, "lesion"))
    pixels = photograph(drawing, _generator(seed, lesion, f"image {image}"))
    return LoadedImage(pixels, hashlib.sha256(pixels.data).hexdigest(), IMAGE_SIZE, IMAGE_SIZE)


def synthetic_mask(seed: int, image_id: str, label: int) -> Bool[np.ndarray, "224 224"]:
    """Where the lesion is in an image of `list_synthetic`.

    Args:
        seed: of the dataset.
        image_id: of the image.
        label: of the image.
    """
    lesion, image = _numbers(image_id)
    drawing = draw_lesion(_atypia(seed, lesion, label), _generator(seed, lesion, "lesion"))
    return outline(drawing, _generator(seed, lesion, f"image {image}"))


def _numbers(image_id: str) -> tuple[int, int]:
    """Of the lesion, and of the image among its images."""
    lesion, image = (int(number) for number in image_id.split("_")[1:])
    return lesion, image


def _lesion_records(seed: int, lesion: int, label: int) -> list[Record]:
    rng = _generator(seed, lesion, "metadata")
    age = 5 * round(rng.normal(52 + 4 * _atypia(seed, lesion, label), 14) / 5)
    facts: dict[str, Any] = {
        "lesion_id": f"{_prefix(seed)}_{lesion:06d}",
        "label": label,
        "dx": ("nv", "mel")[label],
        "dx_type": "follow_up" if label == 0 and rng.random() < 0.5 else "histo",
        "age": float(min(max(age, 5), 85)),
        "sex": ("female", "male")[rng.integers(2)],
        "localization": SITES[rng.integers(len(SITES))],
    }
    return [
        Record(
            source_path=f"synthetic/{CLASSES[label]}/{lesion:06d}_{image}",
            image_id=f"{_prefix(seed)}_{lesion:06d}_{image}",
            **facts,
        )
        for image in range(rng.integers(1, MAX_IMAGES_PER_LESION + 1))
    ]


def _prefix(seed: int) -> str:
    """What ids begin with: names the seed, as another seed draws other lesions."""
    return f"SYN{seed or ''}"


def _atypia(seed: int, lesion: int, label: int) -> float:
    return float(_generator(seed, lesion, "atypia").normal((label - 0.5) * CLASS_DISTANCE, 1))


def _generator(seed: int, lesion: int, purpose: str) -> np.random.Generator:
    """A generator for one purpose alone, so that the images can be drawn in any order and process."""
    return np.random.default_rng([seed, lesion, *purpose.encode()])
