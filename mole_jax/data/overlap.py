"""Images of one dataset that a model trained on another has seen before."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from mole_jax.data.dataset import Dataset
from mole_jax.data.groups import connected
from mole_jax.data.manifest import ManifestRow
from mole_jax.data.records import Split

# A run has trained on the first, and chosen its checkpoint and thresholds on the second.
SEEN: Final[tuple[Split, ...]] = ("train", "validation")
EXAMPLES: Final = 5

# What two images may have in common, the strongest evidence first.
HOW: Final = {
    "file": "by file",
    "pixels": "by pixels",
    "image_id": "by image_id, their own or their original's",
    "lesion_id": "by lesion_id, as other images of a lesion",
    "patient_id": "by patient_id, as other images of a patient",
    "copy": "by their looks, as copies (turned, mirrored, cut or encoded anew)",
    "photograph": "by their looks, as other photographs of a lesion",
    "group": "with an image of the same lesion or patient that is known",
}


class Match(NamedTuple):
    """One image that has been seen.

    Attributes:
        image_id: the image's id in the dataset under judgement.
        seen_as: the image_id under which the run saw it, or its copy or lesion.
        split: the split of the run's dataset that holds `seen_as`.
        how: what gave it away, a key of HOW.
    """

    image_id: str
    seen_as: str
    split: Split
    how: str


@dataclass(frozen=True)
class Overlap:
    """What has been seen of a dataset.

    Attributes:
        images: how many images were looked at.
        matches: one for each image that has been seen, by its strongest evidence.
    """

    images: int
    matches: tuple[Match, ...]

    def describe(self) -> str:
        """One phrase for people; "" if no image has been seen."""
        if not self.matches:
            return ""
        by = Counter(match.how for match in self.matches)
        reasons = ", ".join(f"{by[how]:,} {words}" for how, words in HOW.items() if by[how])
        examples = ", ".join(
            match.image_id if match.seen_as == match.image_id else f"{match.image_id} ({match.seen_as})"
            for match in self.matches[:EXAMPLES]
        )
        where = Counter(match.split for match in self.matches)
        return (
            f"{len(self.matches):,} of {self.images:,} images are known to the run, from its "
            f"{' and '.join(f'{split} split ({where[split]:,})' for split in SEEN if where[split])}: {reasons}; "
            f"for example {examples}"
        )

    def to_dict(self) -> dict[str, Any]:
        """The overlap as plain JSON values."""
        return {
            "images": len(self.matches),
            "of": self.images,
            "by": dict(Counter(match.how for match in self.matches)),
            "splits": dict(Counter(match.split for match in self.matches)),
            "matches": [match._asdict() for match in self.matches],
        }


def find_overlap(seen: Dataset, other: Dataset, splits: Sequence[Split]) -> Overlap:
    """Looks for images of `other` among those that a run has seen.

    Args:
        seen: the dataset that the run was trained on; its test split does not count as seen.
        other: the dataset whose images are to be judged.
        splits: the splits of `other` to look at.
    """
    before = _Index()
    for split in SEEN:
        before.add(split, seen.rows[split], seen.pixel_digests(split))
    matches = []
    for split in splits:
        for row, digest in zip(other.rows[split], other.pixel_digests(split), strict=True):
            if match := before.find(row, digest):
                matches.append(match)
    return Overlap(sum(len(other.rows[split]) for split in splits), tuple(matches))


def with_groups(overlap: Overlap, other: Dataset, splits: Sequence[Split]) -> Overlap:
    """Adds the images that show a lesion or a patient of which another image has been seen.

    Args:
        overlap: what has been seen of `other`, however it was found.
        other: the dataset whose images are to be judged.
        splits: the splits of `other` that were looked at.
    """
    rows = [row for split in splits for row in other.rows[split]]
    first: dict[tuple[str, str], int] = {}
    pairs = [
        (i, first.setdefault(key, i))
        for i, row in enumerate(rows)
        for key in (("lesion", row.lesion_id), ("patient", row.patient_id))
        if key[1]
    ]
    groups = connected(len(rows), pairs).tolist()
    by_image = {match.image_id: match for match in overlap.matches}
    seen: dict[int, Match] = {}
    for group, row in zip(groups, rows, strict=True):
        if row.image_id in by_image:
            seen.setdefault(group, by_image[row.image_id])
    more = tuple(
        seen[group]._replace(image_id=row.image_id, how="group")
        for group, row in zip(groups, rows, strict=True)
        if group in seen and row.image_id not in by_image
    )
    return Overlap(overlap.images, (*overlap.matches, *more))


class _Index:
    """The seen images, indexed by each of the things that would give them away."""

    def __init__(self) -> None:
        self._by: dict[str, dict[str | bytes, tuple[Split, str]]] = {how: {} for how in HOW}

    def add(self, split: Split, rows: Sequence[ManifestRow], pixels: Sequence[bytes]) -> None:
        for row, digest in zip(rows, pixels, strict=True):
            for how, keys in _keys(row, digest).items():
                for key in keys:
                    self._by[how].setdefault(key, (split, row.image_id))

    def find(self, row: ManifestRow, pixels: bytes) -> Match | None:
        for how, keys in _keys(row, pixels).items():
            for key in keys:
                if key in self._by[how]:
                    split, seen_as = self._by[how][key]
                    return Match(row.image_id, seen_as, split, how)
        return None


def _keys(row: ManifestRow, pixels: bytes) -> Mapping[str, tuple[str | bytes, ...]]:
    """What an image is known by, in the order of HOW."""
    return {
        "file": (row.sha256,),
        "pixels": (pixels,),
        "image_id": (row.image_id, row.augmented_from) if row.augmented_from else (row.image_id,),
        # Where the lesion is unknown, the image's own id stands for it.
        "lesion_id": (row.lesion_id,),
        "patient_id": (row.patient_id,) if row.patient_id else (),
    }
